/** The query that lays runs side by side. */

import { MEASURES, type Measure, type MeasureName } from '../runs/measure.ts';
import {
  type ComparedMeasure,
  compareRuns,
  MAX_RUNS,
  type RunComparison,
  type SettingDifference,
} from '../services/comparison.ts';
import { builder } from './builder.ts';
import { finiteOrNull } from './finite.ts';
import { idOf, RUN_TYPES } from './ids.ts';
import { RateRef } from './rate.ts';
import { RunRef } from './refs.ts';
import { SplitRef } from './split.ts';

const MeasureNameRef = builder.enumType('MeasureName', {
  description: 'What can be measured of a run.',
  values: Object.fromEntries(
    Object.entries(MEASURES).map(([name, description]) => [name, { description }]),
  ) as Record<MeasureName, { description: string }>,
});

const MeasureDetail = builder.objectRef<Measure['of'][number]>('MeasureDetail').implement({
  description: 'What tells a measure from others of its name.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Such as `population`, `method` or `concept`.' }),
    value: t.exposeString('value', { description: 'Such as `UNSEEN`; of a concept its key.' }),
  }),
});

const MeasuredValue = builder.objectRef<Measure>('MeasuredValue').implement({
  description: 'A measure of one run.',
  fields: (t) => ({
    value: t.float({
      nullable: true,
      description: 'The figure; null where it is not a finite number.',
      resolve: ({ value }) => finiteOrNull(value),
    }),
    rate: t.field({
      type: RateRef,
      nullable: true,
      description: 'Counts and confidence interval, where the figure is a share of trials.',
      resolve: ({ rate }) => rate,
    }),
    alpha: t.exposeFloat('alpha', {
      nullable: true,
      description:
        'Of swaps of an alignment or hop-swap run: the alpha that it chose, on validation or on TRAIN questions.',
    }),
  }),
});

const ComparedMeasureRef = builder.objectRef<ComparedMeasure>('ComparedMeasure').implement({
  description: 'One measure of all compared runs.',
  fields: (t) => ({
    name: t.field({ type: MeasureNameRef, description: 'What was measured.', resolve: (m) => m.name }),
    split: t.field({
      type: SplitRef,
      nullable: true,
      description: 'On which prompts; null where the run’s settings say it.',
      resolve: (m) => m.split,
    }),
    of: t.field({
      type: [MeasureDetail],
      description: 'What tells it from others of its name, always in the same order.',
      complexity: { field: 0, multiplier: 1 },
      resolve: (m) => [...m.of],
    }),
    values: t.field({
      type: [MeasuredValue],
      nullable: { list: false, items: true },
      description: 'Run by run, in the order of `runs`; null where a run does not have it.',
      complexity: { field: 1, multiplier: 1 },
      resolve: (m) => m.values,
    }),
  }),
});

const SettingDifferenceRef = builder.objectRef<SettingDifference>('SettingDifference').implement({
  description: 'A setting that is not the same in all compared runs.',
  fields: (t) => ({
    path: t.exposeString('path', {
      description:
        'Dotted, such as `weights.ortho`; `run.` stands before what surrounds a run: its kind, data, model, code and backend.',
    }),
    values: t.field({
      type: ['String'],
      nullable: { list: false, items: true },
      description: 'JSON text, run by run, in the order of `runs`; null where a run has no such setting.',
      resolve: ({ values }) => values,
    }),
  }),
});

const RunComparisonRef = builder.objectRef<RunComparison>('RunComparison').implement({
  description: 'Runs side by side.',
  fields: (t) => ({
    runs: t.field({
      type: [RunRef],
      description: 'The runs, in the order asked for.',
      resolve: (c) => c.runs,
    }),
    settings: t.field({
      type: [SettingDifferenceRef],
      description: 'The settings in which they differ; empty where they do in none.',
      resolve: (c) => c.settings,
    }),
    measures: t.field({
      type: [ComparedMeasureRef],
      description: 'Every measure that one or more of them has.',
      complexity: { field: 10, multiplier: 10 },
      resolve: (c) => c.measures,
    }),
  }),
});

builder.queryField('compareRuns', (t) =>
  t.field({
    type: RunComparisonRef,
    description:
      'Lays runs side by side, such as ablations of a loss term: the settings in which they differ, and all that was measured of each, with intervals.',
    complexity: ({ ids }) => ({ field: 1, multiplier: ids.length }),
    args: {
      ids: t.arg.idList({ required: true, description: `Ids of 2–${MAX_RUNS} runs, of any kinds.` }),
    },
    resolve: (_root, { ids }, { db }) =>
      compareRuns(
        db,
        ids.map((id, i) => idOf(id, RUN_TYPES, ['ids', String(i)])),
      ),
  }),
);

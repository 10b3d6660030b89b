/** What a row of a table of runs shows: the newest figures, and in what the run differs from others. */
import { describeMetric, MAIN_METRICS } from '../engine/contract/metrics.ts';
import { changedSettings, type SettingValue, settingValues } from '../runs/settingValues.ts';
import type { Run } from '../services/run.ts';
import { builder } from './builder.ts';
import { MetricRef } from './metrics.ts';
import { RunRef } from './refs.ts';

interface NewestValue {
  name: string;
  step: number;
  value: number | null;
}

const NewestValueRef = builder.objectRef<NewestValue>('NewestValue').implement({
  description: 'The newest value of a metric.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name of the metric, such as `loss`.' }),
    metric: t.field({
      type: MetricRef,
      description: 'What the metric is.',
      resolve: ({ name }) => describeMetric(name),
    }),
    value: t.exposeFloat('value', {
      nullable: true,
      description: 'The value; null where it was not a finite number (training diverged).',
    }),
    step: t.exposeInt('step', { description: 'Training step at which it was measured.' }),
  }),
});

const SettingValueRef = builder.objectRef<SettingValue>('SettingValue').implement({
  description: 'A setting of a run of any kind.',
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Which one, dotted, such as `weights.ortho`.' }),
    value: t.exposeString('value', { description: 'Its value in force, as JSON.' }),
    default: t.string({
      nullable: true,
      description: 'What it is unless one says otherwise (in its preset), as JSON; null where nothing is.',
      resolve: ({ fallback }) => fallback,
    }),
  }),
});

builder.interfaceFields(RunRef, (t) => ({
  mainMetric: t.field({
    type: NewestValueRef,
    nullable: true,
    description:
      'The newest value of what runs of this kind are followed by (`loss` where something is trained); null before it is logged, and of kinds that log no metrics.',
    resolve: (run) => {
      const name = MAIN_METRICS[run.kind];
      return name === null ? null : newestValues(run).find((newest) => newest.name === name);
    },
  }),
  lastMetrics: t.field({
    type: [NewestValueRef],
    description: 'The newest value of each of its metrics, by name; those of single concepts are left out.',
    resolve: newestValues,
  }),
  settingValues: t.field({
    type: [SettingValueRef],
    description:
      'All its settings in force, as keys and values; the `pairs` of a swap sweep are left out, for there may be thousands.',
    complexity: { field: 1, multiplier: 10 },
    resolve: settingValues,
  }),
  changedSettings: t.field({
    type: [SettingValueRef],
    description:
      'Those of its settings that differ from its preset, or from the defaults of kinds without presets.',
    resolve: changedSettings,
  }),
}));

function newestValues({ lastMetrics }: Run): NewestValue[] {
  const names = Object.keys(lastMetrics).sort();
  return names.map((name) => ({ name, step: lastMetrics[name]![0], value: lastMetrics[name]![1] }));
}

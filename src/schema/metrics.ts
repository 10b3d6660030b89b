/** Metrics: what is measured step by step while a run trains. */
import { describeMetric, type Metric } from '../engine/contract/metrics.ts';
import type { MetricSeries } from '../services/run.ts';
import { builder } from './builder.ts';
import { finiteOrNull } from './finite.ts';

const Better = builder.enumType('Better', {
  description: 'Which way a metric should go.',
  values: { LOWER: { description: 'Down.' }, HIGHER: { description: 'Up.' } },
});

export const MetricRef = builder.objectRef<Metric>('Metric').implement({
  description: 'What a metric is, for people.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Its name, such as `loss`, or `loss/bindMse` for one term of the loss.',
    }),
    label: t.exposeString('label', { description: 'What to call it on an axis.' }),
    unit: t.exposeString('unit', {
      nullable: true,
      description: 'What it counts in, such as nats; `share` is 0–1; null for a bare number.',
    }),
    better: t.field({
      type: Better,
      nullable: true,
      description: 'Which way it should go; null where neither is better.',
      resolve: ({ better }) => better,
    }),
    group: t.exposeString('group', { description: 'Metrics of one group belong into one chart.' }),
  }),
});

export const MetricPointRef = builder.objectRef<MetricSeries['points'][number]>('MetricPoint').implement({
  description: 'One value of a metric.',
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'Training step, from 1, counted over the whole run.' }),
    value: t.float({
      nullable: true,
      description: 'The value; null where it was not a finite number (training diverged).',
      resolve: ({ value }) => finiteOrNull(value),
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When the engine measured it.' }),
  }),
});

export const MetricSeriesRef = builder.objectRef<MetricSeries>('MetricSeries').implement({
  description: 'One metric over the steps of a run.',
  fields: (t) => ({
    name: t.exposeString('name', {
      description: 'Its name, such as `loss`, or `loss/bind` for one term of the loss.',
    }),
    metric: t.field({
      type: MetricRef,
      description: 'What it is.',
      resolve: ({ name }) => describeMetric(name),
    }),
    points: t.field({
      type: [MetricPointRef],
      description: 'Its values in the order of steps.',
      complexity: { field: 0, multiplier: 1 },
      resolve: (series) => series.points,
    }),
  }),
});

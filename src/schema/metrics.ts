/** Metrics: what is measured step by step while a run trains. */
import type { MetricSeries } from '../services/run.ts';
import { builder } from './builder.ts';
import { finiteOrNull } from './finite.ts';

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
    points: t.field({
      type: [MetricPointRef],
      description: 'Its values in the order of steps.',
      complexity: { field: 0, multiplier: 1 },
      resolve: (series) => series.points,
    }),
  }),
});

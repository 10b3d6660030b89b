/** A share of trials with its uncertainty. */
import { type Share, wilsonInterval } from '../stats.ts';
import { builder } from './builder.ts';

const Interval = builder.objectRef<{ low: number; high: number }>('Interval').implement({
  description: 'A 95% confidence interval of a share: the Wilson score interval.',
  fields: (t) => ({
    low: t.exposeFloat('low', { description: 'Lower bound, 0–1.' }),
    high: t.exposeFloat('high', { description: 'Upper bound, 0–1.' }),
  }),
});

export const RateRef = builder.objectRef<Share>('Rate').implement({
  description: 'A share of trials, with its uncertainty.',
  fields: (t) => ({
    trials: t.exposeInt('trials', { description: 'Number of trials.' }),
    successes: t.exposeInt('successes', { description: 'Number of trials that came out so.' }),
    value: t.float({
      nullable: true,
      description: '`successes / trials`, 0–1; null without trials.',
      resolve: ({ successes, trials }) => (trials === 0 ? null : successes / trials),
    }),
    interval: t.field({
      type: Interval,
      nullable: true,
      description: 'Where the true share lies, with 95% confidence; null without trials.',
      resolve: ({ successes, trials }) => wilsonInterval(successes, trials),
    }),
  }),
});

import { describe, expect, it } from 'vitest';
import { wilsonInterval } from '../src/stats.ts';

describe('wilsonInterval', () => {
  // Bounds are the roots of (p − k/n)² = z²·p·(1 − p)/n, found by bisection.
  it.each([
    [85, 100, 0.767164, 0.90694],
    [0, 10, 0, 0.277533],
    [10, 10, 0.722467, 1],
    [1, 400, 0.000441, 0.014023],
  ])('of %i in %i is %f to %f', (successes, trials, low, high) => {
    const interval = wilsonInterval(successes, trials)!;
    expect(interval.low).toBeCloseTo(low, 5);
    expect(interval.high).toBeCloseTo(high, 5);
  });

  it('does not exist without trials', () => {
    expect(wilsonInterval(0, 0)).toBeNull();
  });
});

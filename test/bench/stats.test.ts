import { describe, expect, test } from 'vitest';
import { ratios, spread, worstDifference } from '../../bench/speed/stats.ts';

describe('spread', () => {
  test('takes the middle of an odd count and the mean of the two middles of an even one', () => {
    expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
    expect(spread([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
  });

  test('has nothing to say of nothing', () => {
    expect(() => spread([])).toThrow(RangeError);
  });
});

describe('ratios', () => {
  test('are taken pair by pair, so that a slow moment of both sides does not count', () => {
    expect(ratios([1, 10, 2], [2, 20, 4])).toEqual({ median: 0.5, min: 0.5, max: 0.5 });
  });

  test('need as many of one side as of the other', () => {
    expect(() => ratios([1, 2], [1])).toThrow('equally many');
  });
});

describe('worstDifference', () => {
  test('is relative to the largest number expected', () => {
    expect(worstDifference([1, -7.9], [1, -8])).toBeCloseTo(0.0125);
  });

  test('is infinite where a number is none', () => {
    expect(worstDifference([Number.NaN], [1])).toBe(Number.POSITIVE_INFINITY);
    expect(worstDifference([1], [Number.NaN])).toBe(Number.POSITIVE_INFINITY);
  });

  test('needs as many numbers as are expected', () => {
    expect(() => worstDifference([1], [1, 2])).toThrow('1 numbers were compared with 2');
  });
});

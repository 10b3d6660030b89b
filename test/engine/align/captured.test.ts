import { expect, test } from 'vitest';
import { conceptMeans, numberNames } from '../../../src/engine/align/captured.ts';

test('numberNames gives equal names one number and others another', () => {
  const names = ['fay', 'guy', 'fay', 'hal', 'guy', 'ida'];
  const numbers = numberNames(names);
  for (const [i, a] of names.entries())
    for (const [j, b] of names.entries()) expect(numbers[i] === numbers[j]).toBe(a === b);
});

test('conceptMeans are the means of the rows of each concept', () => {
  const h = Float32Array.of(1, 10, 2, 20, 5, 50);
  expect([...conceptMeans(h, [1, 0, 1], 2)]).toEqual([2, 20, 3, 30]);
});

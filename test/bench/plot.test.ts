import { expect, test } from 'vitest';
import { renderFront } from '../../bench/results/front.ts';
import { ratioOf } from '../../bench/results/grokking.ts';
import { draw } from '../../bench/results/plot.ts';

test('a chart draws points where the axes say, in both themes, and escapes what it is told', () => {
  const chart = {
    ...{ title: 'a < b', xLabel: 'steps', yLabel: 'share', isLog: true, ticks: [1, 10, 100] },
    lines: [
      { name: 'one', points: [[0, 0] as const, [10, 0.5] as const, [100, 1] as const], isTheirs: true },
    ],
  };
  const [light, dark] = (['light', 'dark'] as const).map((theme) => draw(chart, theme)) as [string, string];
  // Of a logarithmic axis from 52 to 450, with 0 at its edge.
  expect(light).toContain('points="52.0,268.0 251.0,152.0 450.0,36.0"');
  expect(light).toContain('<title>a &lt; b</title>');
  expect(light).toContain('stroke-dasharray');
  expect(dark).not.toBe(light);
  expect(dark).toContain('#0d1117');
});

test('the first page shows what is measured alone, and says what is not', async () => {
  const nothing = { seeds: [], layers: null, people: [], smollm2: [], hops: [], grokking: [] };
  const images = new URL('file:///nowhere/');
  const empty = await renderFront(nothing, images);
  expect(empty).toContain('Of one hop nothing stands here');
  expect(empty).not.toContain('.846 where a part of the answer counts');
  const onset = { memorization: 100, generalization: 2500, binding: null };
  const grokking = [{ preset: 'GROKKING', grokking: { onset, points: [{ step: 4000 }] } } as never];
  const page = await renderFront({ ...nothing, grokking }, images);
  expect(page).toContain('.597 at epoch 5, 1.0 from 25 on; no untrained model');
  expect(page).toContain('by seed: 25.0 (GROKKING)');
  for (const text of [empty, page]) expect(text).not.toMatch(/undefined|NaN/);
});

test('the ratio of onsets is bounded where generalization has not come', () => {
  const grokking = (memorization: number | null, generalization: number | null) =>
    ratioOf({
      onset: { memorization, generalization, binding: null },
      points: [{ step: 4000 }] as never,
      startedAt: '',
      finishedAt: '',
    });
  expect([grokking(100, 2500), grokking(100, null), grokking(null, null)]).toEqual(['25.0', '> 40.0', '–']);
});

import { describe, expect, test } from 'vitest';
import { bytesMoved, flops } from '../../bench/speed/growth.ts';
import { renderGrowth } from '../../bench/speed/growthReport.ts';
import { posttrain, pretrain } from '../../bench/speed/recipes.ts';
import { renderDocument } from '../../bench/speed/report.ts';
import type { StoredResult } from '../../bench/speed/results.ts';

const shared = {
  at: '2026-01-02T03:04:05.000Z',
  threads: 2,
  machine: '2 cores',
  versions: { torch: '2' },
  runsInTurn: 3,
};
const side = (name: string, ms: number[], peakBytes: number) => ({
  ...{ name, ms, peakBytes },
  ...{ workingBytes: null, difference: 1e-6 },
});

describe('the document', () => {
  test('compares ours with the fastest peer, pair by pair', () => {
    const result: StoredResult = {
      ...shared,
      name: 'posttrain-100k',
      measured: [
        side('ours', [10, 30, 12], 4e9),
        side('slow', [100, 300, 100], 1e9),
        side('fast', [20, 50, 20], 5e9),
      ],
    };
    const row = renderDocument([result])
      .split('\n')
      .find((line) => line.startsWith('| post-training, linear, d 512'));
    expect(row).toContain('| 12.0 (10.0 – 30.0) | 20.0 (20.0 – 50.0) | fast |');
    expect(row).toContain('**0.60** (0.50 – 0.60) | ≤ 0.6 | 0.80 (goal ≤ 0.8) |');
  });

  test('has a part for each processor', () => {
    const on = (processor: string, ms: number): StoredResult => ({
      ...{ ...shared, name: 'posttrain-100k', machine: `2 cores of ${processor}, 24 GiB, Linux` },
      measured: [side('ours', [ms], 4e9), side('theirs', [20], 1e9)],
    });
    const text = renderDocument([on('AMD EPYC', 10), on('Intel Xeon', 15)]);
    const [, amd, intel] = text.split(/^## On .*$/m);
    expect(text.match(/^## On .*$/gm)).toEqual(['## On AMD EPYC', '## On Intel Xeon']);
    expect(amd).toContain('**0.50**');
    expect(intel).toContain('**0.75**');
  });

  test('shows what share of the machine a step of the growth table reaches', () => {
    const work = pretrain({ dModel: 128, nFree: 1000 }, 512, { activation: 'TOPK', decoderNorm: 'FREE' });
    const rates = { flopsPerSecond: flops(work) * 200, bytesPerSecond: bytesMoved(work) * 400 };
    const result: StoredResult = {
      ...shared,
      name: 'growth-topk-1000-128-512',
      measured: [side('ours', [10], 3e8)],
      rates,
    };
    expect(renderGrowth([result])).toContain(
      '| top-k | 1,000 | 128 | 512 | 10.0 | 0.1 | 50 | 0.01 | 25 | 300 |',
    );
  });
});

describe('what a step needs', () => {
  test('grows with the dictionary in both', () => {
    const small = posttrain({ dModel: 128, nFree: 1000, nConcepts: 6 }, 64);
    const large = { ...small, nFree: 10_000 };
    expect(flops(large)).toBe(10 * flops(small));
    expect(bytesMoved(large)).toBe(10 * bytesMoved(small));
  });

  test('counts five products of the batch with the dictionary', () => {
    const work = posttrain({ dModel: 1_000_000, nFree: 10, nConcepts: 1 }, 1);
    expect(flops(work) / (10 * 1_000_000 * 10)).toBeCloseTo(1, 4);
  });
});

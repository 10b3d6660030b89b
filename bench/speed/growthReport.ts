/** How a step's cost grows, as Markdown. */
import { bytesMoved, expectedBytes, flops, GROWTH_CASES, type GrowthCase, memoryLimit } from './growth.ts';
import { describeRuns } from './report.ts';
import type { StoredResult } from './results.ts';
import { spread } from './stats.ts';
import { markdownTable } from './table.ts';

export function renderGrowth(results: readonly StoredResult[]): string {
  const found = new Map(results.map((result) => [result.name, result]));
  const rows = GROWTH_CASES.flatMap((each) => {
    const result = found.get(each.name);
    if (result) return [measuredRow(each, result)];
    return expectedBytes(each.work) > memoryLimit() ? [skippedRow(each)] : [];
  });
  const columns = [
    'step',
    'nFree',
    'd',
    'batch',
    'ms',
    'GFLOP',
    '% of matMul',
    'GB moved',
    '% of copy',
    'peak MB',
  ];
  return `## How the cost grows

${describeRuns(results)}

Steps of ours alone: *linear* is post-training with all terms, *top-k* is pre-training with k 32. ${describeRates(results)}
FLOP and bytes are what the mathematics needs, as \`bench/speed/growth.ts\` counts them: a step that computes more
reaches a smaller share; one that computes half of a symmetric product, or multiplies faster than TensorFlow does, may
pass 100%. A step that is expected to take more than half of the machine's memory is left out.

${markdownTable(columns, rows)}`;
}

function describeRates(results: readonly StoredResult[]): string {
  const rates = results.flatMap((result) => result.rates ?? []);
  const [flopRate, byteRate] = [
    spread(rates.map(({ flopsPerSecond }) => flopsPerSecond / 1e9)),
    spread(rates.map(({ bytesPerSecond }) => bytesPerSecond / 1e9)),
  ].map(({ min, max }) => `${min.toFixed(0)} to ${max.toFixed(0)}`);
  return `Beside them stands what the machine reached in the same run: ${flopRate} GFLOP/s in a product of two matrices of 2048 × 2048, ${byteRate} GB/s read and written in a copy of 256 MB by one thread.`;
}

function measuredRow({ work }: GrowthCase, { measured, rates }: StoredResult): string[] {
  const { ms, peakBytes } = measured[0]!;
  const { median } = spread(ms);
  const percent = (amount: number, perSecond: number) =>
    ((100 * amount * 1000) / median / perSecond).toFixed(0);
  return [
    ...sizes(work),
    median.toFixed(median < 100 ? 1 : 0),
    (flops(work) / 1e9).toFixed(1),
    percent(flops(work), rates!.flopsPerSecond),
    (bytesMoved(work) / 1e9).toFixed(2),
    percent(bytesMoved(work), rates!.bytesPerSecond),
    peakBytes === null ? '' : (peakBytes / 1e6).toFixed(0),
  ];
}

function skippedRow({ work }: GrowthCase): string[] {
  const needed = `left out: about ${(expectedBytes(work) / 1e9).toFixed(0)} GB`;
  return [...sizes(work), needed, '', '', '', '', ''];
}

function sizes({ kind, nFree, dModel, rows }: GrowthCase['work']): string[] {
  return [
    kind === 'POSTTRAIN' ? 'linear' : 'top-k',
    nFree.toLocaleString('en'),
    String(dModel),
    String(rows),
  ];
}

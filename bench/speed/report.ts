/** The measurements as Markdown. */
import { CASES, type Case } from './cases.ts';
import { type Measured, processorOf, type StoredResult } from './results.ts';
import { ratios, type Spread, spread } from './stats.ts';
import { markdownTable } from './table.ts';

/** A peer beside ours. */
interface Comparison {
  ours: Measured;
  peer: Measured;
  ratio: Spread;
}

/** docs/benchmarks.md, a part a processor; results of cases that are missing leave their rows out. */
export function renderDocument(results: readonly StoredResult[]): string {
  const processors = [...new Set(results.map(processorOf))];
  const sections = processors.flatMap((processor) => {
    const own = results.filter((result) => processorOf(result) === processor);
    return [`## On ${processor}`, describeRuns(own), table(own), '### All that was measured', allPeers(own)];
  });
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

/** Ours alone, for the terminal. */
export function renderAlone(results: readonly StoredResult[]): string {
  const rows = results.map((result) => {
    const ours = result.measured[0]!;
    return [titleOf(result), milliseconds(spread(ours.ms)), megabytes(ours.peakBytes)];
  });
  return markdownTable(['work', 'ms (fastest – slowest)', 'peak MB'], rows);
}

const INTRODUCTION = `# How fast

This file is written by \`npm run bench -- --peers\`; a run replaces the rows that it measures, on the processor that it
runs on. Each row is one piece of work, done by this engine and by what a researcher would otherwise run, in turns: ours, theirs, ours, theirs, in processes of their own with the same number of
threads, in float32, after warm-up. Ours has the variables that the server starts its engines with (memory in huge
pages, one op at a time); theirs are left as they come. Before anything is timed both begin with the same weights and the same batch and
must come to the same numbers: the losses of the first three steps (so gradients and updates agree too), activations, or
generated tokens. A turn's time is the median of its runs; a row's ratio is the median of the pairs' ratios, with the
smallest and the largest. Where a peer has several ways to do the same, all take their turns and the fastest counts.

- *Post-training* has all terms of the curriculum: reconstruction, sparsity, binding (squared error), independence
  (through the rows' Gram matrix, on both sides), orthogonality and value heads (hidden width 256, 365 words). A batch has
  equally many rows a concept: 66 for 64 of six concepts, 60 of twenty, 510 for 512. The peer is written in plain
  PyTorch ([bench/peers/alignsae.py](../bench/peers/alignsae.py)). ReLU latents have a bias by which 1% of them fire at the
  start, as in a trained SAE; without it half of them do. With the terms of \`COUNTERFACTUAL\`, exchanged slots and silent
  rows take the slots' columns alone on both sides.
- *Pre-training* is one step of SAELens' own \`SAETrainer\`: gradients clipped at norm 1, Adam, learning rate 3e-4;
  besides what ours does, it counts which latents fire. \`apply_b_dec_to_input\` is off, for our encoder does not subtract
  the decoder's bias. SAELens sums over dimensions and latents what we average; our terms carry the counts as weights.
- *Model training* is transformers' \`GPT2LMHeadModel\` or \`LlamaForCausalLM\` with AdamW (decay 0.1 on weights),
  gradients clipped at norm 1, without dropout; GPT-2 with 365 words and 4 heads. Loss on every token but the first of a row.
- *Capture* reads the residual stream after a block at every position; the blocks above do not run on either side.
  *Generation* is \`generate()\`, greedy.
- *Swap sweep* compares an edit inside a sweep, loading and capture included, with the same edit made one at a time
  with this engine (timed on 30 swaps, one a pair), on a biography model; the outcomes of 150 swaps must agree.`;

export function describeRuns(results: readonly StoredResult[]): string {
  const distinct = (values: string[]) => [...new Set(values)].join('; ');
  const versions = Object.assign({}, ...results.map((result) => result.versions)) as Record<string, string>;
  const dates = results.map(({ at }) => at.slice(0, 10)).sort();
  const days = dates[0] === dates.at(-1) ? dates[0] : `${dates[0]} to ${dates.at(-1)}`;
  return [
    `Measured ${days} on ${distinct(results.map(({ machine }) => machine))}`,
    `with ${distinct(results.map(({ threads }) => String(threads)))} threads a side:`,
    `${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
  ].join(' ');
}

function table(results: readonly StoredResult[]): string {
  const rows = results.flatMap((result) => {
    const comparison = fastest(result);
    if (!comparison) return [];
    const { ours, peer, ratio } = comparison;
    const { goal, memoryGoal } = caseOf(result);
    const memory = ours.peakBytes && peer.peakBytes ? ours.peakBytes / peer.peakBytes : null;
    return [
      [
        titleOf(result),
        milliseconds(spread(ours.ms)),
        milliseconds(spread(peer.ms)),
        peer.name,
        share(ratio),
        goal === null ? '' : `≤ ${goal}`,
        memory === null
          ? ''
          : memory.toFixed(2) + (memoryGoal === undefined ? '' : ` (goal ≤ ${memoryGoal})`),
      ],
    ];
  });
  const columns = ['work', 'ours, ms', 'theirs, ms', 'fastest peer', 'ratio', 'goal', 'peak memory, ratio'];
  return markdownTable(columns, rows);
}

function allPeers(results: readonly StoredResult[]): string {
  const rows = results.flatMap((result) =>
    result.measured.map(({ name, ms, peakBytes, workingBytes, difference }) => [
      result.name,
      name,
      milliseconds(spread(ms)),
      String(ms.length),
      String(result.runsInTurn),
      megabytes(peakBytes),
      megabytes(workingBytes),
      name === 'ours' ? '' : `${difference.toExponential(1)} of ${caseOf(result).tolerance}`,
    ]),
  );
  const columns = [
    'case',
    'side',
    'ms (fastest – slowest)',
    'turns',
    'runs a turn',
    'peak MB',
    'from the first turn on',
    'numbers apart',
  ];
  return markdownTable(columns, rows);
}

function fastest({ measured: [ours, ...peers] }: StoredResult): Comparison | null {
  const [peer] = [...peers].sort((a, b) => spread(a.ms).median - spread(b.ms).median);
  return ours && peer ? { ours, peer, ratio: ratios(ours.ms, peer.ms) } : null;
}

function caseOf({ name }: StoredResult): Case {
  return CASES.find((each) => each.name === name)!;
}

function titleOf(result: StoredResult): string {
  return caseOf(result).title;
}

function milliseconds({ median, min, max }: Spread): string {
  const digits = median < 10 ? 2 : median < 100 ? 1 : 0;
  return `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;
}

function share({ median, min, max }: Spread): string {
  const digits = median < 0.1 ? 3 : 2;
  return `**${median.toFixed(digits)}** (${min.toFixed(digits)} – ${max.toFixed(digits)})`;
}

function megabytes(bytes: number | null): string {
  return bytes === null ? '' : (bytes / 1e6).toFixed(0);
}

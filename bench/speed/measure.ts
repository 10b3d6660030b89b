/** Takes the sides of a case in turns, so that whatever else the machine does slows them alike. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Case, Peer } from './cases.ts';
import { Contestant } from './contestant.ts';
import { writeInputs } from './inputs.ts';
import { spread, worstDifference } from './stats.ts';

export type Log = (message: string) => void;

export interface MeasureOptions {
  pairs: number;
  threads: number;
  /** The Python that has the peers' packages; null measures ours alone. */
  python: string | null;
  /** Of the native engine. */
  cache: string;
  log: Log;
}

/** What the machine can do at best. */
export interface Rates {
  flopsPerSecond: number;
  bytesPerSecond: number;
}

export interface Measured {
  /** `ours`, or the peer's variant. */
  name: string;
  /** Milliseconds of a run, a pair each. */
  ms: number[];
  /** Most memory held at once, loading included; null where the system does not tell. */
  peakBytes: number | null;
  /** How far this side's numbers are from ours, relative to the largest. */
  difference: number;
}

export interface CaseResult {
  name: string;
  /** When it was measured, ISO 8601. */
  at: string;
  threads: number;
  versions: Record<string, string>;
  /** Runs of one side before the other's turn; of these the median counts. */
  runsInTurn: number;
  measured: Measured[];
}

/** A turn takes about this long, so that what the other side left in the caches does not count. */
const TURN_MS = 300;
const MAX_RUNS_IN_TURN = 15;
const WARM_UP_RUNS = 2;
/** Threads of the other side that still wait for work spin no longer than this. */
const REST_MS = 30;

const OUR_COMMAND = [
  process.execPath,
  '--import',
  'tsx',
  fileURLToPath(new URL('./worker.ts', import.meta.url)),
];
const PEER_WORKER = fileURLToPath(new URL('../peers/worker.py', import.meta.url));

/** @throws Error when the sides do not compute the same numbers, or a worker fails. */
export async function measureCase(each: Case, options: MeasureOptions): Promise<CaseResult> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'));
  const contestants: Contestant[] = [];
  try {
    const inputs = await prepareInputs(each, directory, options);
    const versions: Record<string, string> = {};
    const differences: number[] = [];
    let expected: number[] | null = null;
    for (const peer of [null, ...(options.python ? each.peers : [])]) {
      const contestant = new Contestant(peer?.variant ?? 'ours', commandOf(peer, options), options.threads);
      contestants.push(contestant);
      const { threads, cache } = options;
      const setup = { work: each.work, inputs, variant: peer?.variant ?? '', threads, cache };
      Object.assign(versions, (await contestant.ask('setup', setup)).versions);
      const { values } = await contestant.ask('check', {});
      expected ??= values;
      differences.push(checkSame(each, contestant.name, values, expected));
    }
    const { ms, runsInTurn } = await takeTurns(contestants, options);
    const measured = await Promise.all(
      contestants.map(async (contestant, i) => ({
        name: contestant.name,
        ms: ms[i]!,
        peakBytes: await contestant.peakBytes(),
        difference: differences[i]!,
      })),
    );
    const at = new Date().toISOString();
    return { name: each.name, at, threads: options.threads, versions, runsInTurn, measured };
  } finally {
    await Promise.all(contestants.map((contestant) => contestant.end()));
    await rm(directory, { recursive: true });
  }
}

/** What the machine reaches now: FLOP/s and bytes/s. */
export async function measureRates({
  threads,
  cache,
}: Pick<MeasureOptions, 'threads' | 'cache'>): Promise<Rates> {
  const contestant = new Contestant('the machine', OUR_COMMAND, threads);
  try {
    await contestant.ask('setup', { work: { kind: 'MACHINE' }, inputs: '', variant: '', threads, cache });
    const [flopsPerSecond, bytesPerSecond] = (await contestant.ask('check', {})).values as [number, number];
    return { flopsPerSecond, bytesPerSecond };
  } finally {
    await contestant.end();
  }
}

async function prepareInputs({ work }: Case, directory: string, { cache, log }: MeasureOptions) {
  if (work.kind === 'SWEEP') return join(cache, 'bench', 'sweep'); // the worker trains its model there
  log('drawing weights and a batch');
  const path = join(directory, 'inputs.safetensors');
  await writeInputs(path, work);
  return path;
}

function commandOf(peer: Peer | null, { python }: MeasureOptions): readonly string[] {
  return peer?.by === 'PYTHON' ? [python!, PEER_WORKER] : OUR_COMMAND;
}

function checkSame({ tolerance }: Case, name: string, values: number[], expected: number[]): number {
  const difference = worstDifference(values, expected);
  if (difference <= tolerance) return difference;
  const shown = (numbers: number[]) => numbers.slice(0, 8).join(', ');
  throw new Error(
    `${name} computes ${shown(values)} where ours computes ${shown(expected)}: ${difference} apart, ${tolerance} allowed`,
  );
}

async function takeTurns(
  contestants: readonly Contestant[],
  { pairs, log }: MeasureOptions,
): Promise<{ ms: number[][]; runsInTurn: number }> {
  let longest = 0;
  for (const contestant of contestants) {
    const { ms } = await contestant.ask('run', { times: WARM_UP_RUNS });
    longest = Math.max(longest, ms.at(-1)!);
  }
  const runsInTurn = Math.min(MAX_RUNS_IN_TURN, Math.ceil(TURN_MS / longest));
  const ms: number[][] = contestants.map(() => []);
  for (let pair = 0; pair < pairs; pair++) {
    for (const [i, contestant] of contestants.entries()) {
      await pause(REST_MS);
      ms[i]!.push(spread((await contestant.ask('run', { times: runsInTurn })).ms).median);
    }
    log(`${pair + 1} of ${pairs}: ${ms.map((each) => each.at(-1)!.toFixed(2)).join(' : ')} ms`);
  }
  return { ms, runsInTurn };
}

/** Takes the sides of a case in turns, so that whatever else the machine does slows them alike. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { nativeEnvironment } from '../../src/engine/contract/native.ts';
import type { Case, Peer } from './cases.ts';
import { Contestant } from './contestant.ts';
import { writeInputs } from './inputs.ts';
import type { CaseResult, Measured, Rates } from './results.ts';
import { spread, worstDifference } from './stats.ts';

export interface MeasureOptions {
  pairs: number;
  threads: number;
  /** The Python that has the peers' packages; null measures ours alone. */
  python: string | null;
  /** Of the native engine. */
  cache: string;
  log(message: string): void;
}

interface Side {
  contestant: Contestant;
  variant: string;
  /** Parts of a run, among which its time is divided. */
  units: number;
  measured: Measured;
}

/**
 * A turn takes about this long, so that neither what the other side left in the caches counts nor that a core is slow at
 * first after it has waited: it takes a tenth of a second until a step takes what it takes in training.
 */
const TURN_MS = 1500;
const MAX_RUNS_IN_TURN = 300;
const WARM_UP_RUNS = 2;
/** Threads of the other side that still wait for work spin no longer than this. */
const REST_MS = 30;

const OUR_WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const OUR_COMMAND = [process.execPath, '--import', 'tsx', OUR_WORKER];
const PEER_WORKER = fileURLToPath(new URL('../peers/worker.py', import.meta.url));

/** @throws Error when the sides do not compute the same numbers, or a worker fails. */
export async function measureCase(each: Case, options: MeasureOptions): Promise<CaseResult> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'));
  const peers = options.python === null ? [] : each.peers;
  const sides = [null, ...peers].map((peer) => startSide(peer, options));
  try {
    const versions = await prepare(sides, each, directory, options);
    const runsInTurn = await warmUp(sides);
    await takeTurns(sides, runsInTurn, options);
    // A server's memory is not that of the worker that asks it.
    if (each.work.kind === 'SERVED') for (const { measured } of sides) measured.peakBytes = null;
    else
      for (const { contestant, measured } of sides) {
        measured.workingBytes = await contestant.peakBytes();
        measured.peakBytes = Math.max(measured.peakBytes ?? 0, measured.workingBytes ?? 0) || null;
      }
    const at = new Date().toISOString();
    const measured = sides.map((side) => side.measured);
    return { name: each.name, at, threads: options.threads, versions, runsInTurn, measured };
  } finally {
    await Promise.all(sides.map(({ contestant }) => contestant.end()));
    await rm(directory, { recursive: true });
  }
}

/** As the server starts its engines. */
const OUR_ENVIRONMENT = nativeEnvironment({ available: false, reason: '' }, process.env);

/** What the machine reaches now. */
export async function measureRates(options: Pick<MeasureOptions, 'threads' | 'cache'>): Promise<Rates> {
  const contestant = new Contestant('the machine', OUR_COMMAND, options.threads, OUR_ENVIRONMENT);
  try {
    await contestant.ask('setup', { work: { kind: 'MACHINE' }, inputs: '', variant: '', ...options });
    const [flopsPerSecond, bytesPerSecond] = (await contestant.ask('check', {})).values as [number, number];
    return { flopsPerSecond, bytesPerSecond };
  } finally {
    await contestant.end();
  }
}

/** @param peer Null is ours. */
function startSide(peer: Peer | null, { python, threads }: MeasureOptions): Side {
  const name = peer?.variant ?? 'ours';
  const isTheirs = peer?.by === 'PYTHON';
  return {
    contestant: isTheirs
      ? new Contestant(name, [python!, PEER_WORKER], threads)
      : new Contestant(name, OUR_COMMAND, threads, OUR_ENVIRONMENT),
    variant: peer?.variant ?? '',
    units: 1,
    measured: { name, ms: [], peakBytes: null, workingBytes: null, difference: 0 },
  };
}

/** Sets all sides up and holds them to the numbers of the first; returns the versions of what they run on. */
async function prepare(
  sides: readonly Side[],
  each: Case,
  directory: string,
  options: MeasureOptions,
): Promise<Record<string, string>> {
  const { work } = each;
  const inputs = await prepareInputs(each, directory, options);
  const versions: Record<string, string> = {};
  let expected: number[] | null = null;
  for (const side of sides) {
    const { contestant, variant } = side;
    const { threads, cache } = options;
    const setup = await contestant.ask('setup', { work, inputs, variant, threads, cache });
    side.units = setup.units;
    Object.assign(versions, setup.versions);
    const { values } = await contestant.ask('check', {});
    expected ??= values;
    side.measured.difference = checkSame(each, contestant.name, values, expected);
  }
  return versions;
}

async function prepareInputs({ work }: Case, directory: string, { cache, log }: MeasureOptions) {
  if (work.kind === 'SWEEP') return join(cache, 'bench', 'sweep'); // the worker trains its model there
  if (work.kind === 'SERVED') return join(cache, 'bench', 'served'); // the server has its data there
  log('drawing weights and a batch');
  const path = join(directory, 'inputs.safetensors');
  await writeInputs(path, work);
  return path;
}

function checkSame({ tolerance }: Case, name: string, values: number[], expected: number[]): number {
  const difference = worstDifference(values, expected);
  if (difference <= tolerance) return difference;
  const shown = (numbers: number[]) => numbers.slice(0, 8).join(', ');
  throw new Error(
    `${name} computes ${shown(values)} where ours computes ${shown(expected)}: ${difference} apart, ${tolerance} allowed`,
  );
}

/** Returns how many runs a turn has. */
async function warmUp(sides: readonly Side[]): Promise<number> {
  let longest = 0;
  for (const { contestant, measured } of sides) {
    const { ms } = await contestant.ask('run', { times: WARM_UP_RUNS });
    longest = Math.max(longest, ms.at(-1)!);
    measured.peakBytes = await contestant.peakBytes();
    await contestant.forgetPeak();
  }
  return Math.min(MAX_RUNS_IN_TURN, Math.ceil(TURN_MS / longest));
}

async function takeTurns(
  sides: readonly Side[],
  times: number,
  { pairs, log }: MeasureOptions,
): Promise<void> {
  for (let pair = 1; pair <= pairs; pair++) {
    for (const { contestant, units, measured } of sides) {
      await pause(REST_MS);
      const { ms } = await contestant.ask('run', { times });
      measured.ms.push(spread(ms).median / units);
    }
    log(`${pair} of ${pairs}: ${sides.map(({ measured }) => measured.ms.at(-1)!.toFixed(2)).join(' : ')} ms`);
  }
}

/**
 * What has been measured, one file a case in a folder a processor, so that the document can be written again without
 * measuring again, and a run replaces its own rows alone.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { cpus, type as osType, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One side of a case. */
export interface Measured {
  /** `ours`, or the peer's variant. */
  name: string;
  /** Milliseconds of a run, one number a turn. */
  ms: number[];
  /** Most memory held at once, loading included; null where the system does not tell. */
  peakBytes: number | null;
  /** The same from the first turn on. */
  workingBytes: number | null;
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
  /** Ours first. */
  measured: Measured[];
}

/** What the machine can do at best. */
export interface Rates {
  flopsPerSecond: number;
  bytesPerSecond: number;
}

/** A result and where it was measured. */
export interface StoredResult extends CaseResult {
  machine: string;
  /** What the machine reached in the same run; only beside growth. */
  rates?: Rates;
}

const DIRECTORY = new URL('./results/', import.meta.url);

export async function storeResult(result: StoredResult): Promise<void> {
  await writeJson(`${slugOf(processorOf(result))}/${result.name}`, result);
}

/** Writes what was measured without peers, apart from the comparisons, and returns the path of the file. */
export function storeAlone(results: readonly StoredResult[]): Promise<string> {
  return writeJson('alone', results);
}

/** The results there are, of all processors, each in the order of `names`. */
export async function readResults(names: readonly string[]): Promise<StoredResult[]> {
  const entries = await readdir(DIRECTORY, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const files = folders.sort().flatMap((folder) => names.map((name) => fileOf(`${folder}/${name}`)));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => null)));
  return texts.flatMap((text) => (text === null ? [] : [JSON.parse(text) as StoredResult]));
}

/** As the system names it. */
export function processorOf({ machine }: Pick<StoredResult, 'machine'>): string {
  return /cores of (.+?), \d+ GiB/.exec(machine)?.[1] ?? machine;
}

function slugOf(processor: string): string {
  return processor.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}

export function describeMachine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return `${cpus().length} cores of ${cpus()[0]!.model.trim()}, ${memory}, ${osType()} ${release()}`;
}

async function writeJson(name: string, value: object): Promise<string> {
  const path = fileOf(name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
  return path;
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`${name}.json`, DIRECTORY));
}

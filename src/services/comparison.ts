/** Runs side by side: the settings in which they differ, and all that was measured of them. */
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import { AppError, invalidInput } from '../errors.ts';
import type { Measure } from '../runs/measure.ts';
import { measuresOf } from '../runs/measures.ts';
import { leavesOf } from '../runs/settingValues.ts';
import { corporaByIds } from './corpus.ts';
import { modelsByIds } from './model.ts';
import { runsByIds } from './run.ts';

const MIN_RUNS = 2;
export const MAX_RUNS = 50;

/** A setting that is not the same in all runs. */
export interface SettingDifference {
  /** Dotted, such as `weights.ortho`. */
  path: string;
  /** JSON text, run by run; null where a run has no such setting. */
  values: (string | null)[];
}

/** One measure of all runs, those that do not have it with null. */
export interface ComparedMeasure extends Pick<Measure, 'name' | 'split' | 'of'> {
  values: (Measure | null)[];
}

export interface RunComparison {
  runs: Run[];
  settings: SettingDifference[];
  measures: ComparedMeasure[];
}

/**
 * Compares runs of any kinds, in the order of `ids`.
 * @throws AppError INVALID_INPUT unless they are 2–50 different ones; NOT_FOUND with the place of the unknown one.
 */
export async function compareRuns(db: Executor, ids: readonly string[]): Promise<RunComparison> {
  if (ids.length < MIN_RUNS || ids.length > MAX_RUNS)
    throw invalidInput(['ids'], `ids must name ${MIN_RUNS}–${MAX_RUNS} runs, got ${ids.length}`);
  const twice = ids.findIndex((id, i) => ids.indexOf(id) < i);
  if (twice >= 0) throw invalidInput(['ids', String(twice)], `ids must differ; ids[${twice}] is there twice`);
  const found = await runsByIds(db, ids);
  const runs = found.map((run, i) => {
    if (run) return run;
    throw new AppError('NOT_FOUND', `ids[${i}]: run ${ids[i]} does not exist`, { path: ['ids', String(i)] });
  });
  return { runs, settings: await differences(db, runs), measures: align(await measuresOf(db, runs)) };
}

async function differences(db: Executor, runs: readonly Run[]): Promise<SettingDifference[]> {
  const flat = runs.map((run) => new Map(leavesOf(run.settings)));
  const paths = new Set(flat.flatMap((settings) => [...settings.keys()]));
  const given = [...paths].sort().map((path) => ({ path, values: flat.map((s) => s.get(path) ?? null) }));
  const all = [...given, ...(await surroundings(db, runs))];
  return all.filter(({ values }) => new Set(values).size > 1);
}

/** What else decides a run's numbers. */
async function surroundings(db: Executor, runs: readonly Run[]): Promise<SettingDifference[]> {
  const studied = runs.map(({ kind, modelId }) => (kind === 'MODEL' ? null : modelId));
  const models = await modelsByIds(
    db,
    studied.flatMap((id) => id ?? []),
  );
  const corpora = await corporaByIds(
    db,
    runs.flatMap(({ corpusId }) => corpusId ?? []),
  );
  const hashOf = (of: readonly ({ id: string; artifactHash: string } | null)[]) => (id: string | null) =>
    of.find((one) => one?.id === id)?.artifactHash ?? null;
  const rows = {
    kind: runs.map(({ kind }) => kind),
    datasetHash: runs.map(({ datasetHash }) => datasetHash),
    modelHash: studied.map(hashOf(models)),
    corpusHash: runs.map(({ corpusId }) => hashOf(corpora)(corpusId)),
    codeVersion: runs.map(({ codeVersion }) => codeVersion),
    backend: runs.map(({ backend }) => backend),
  };
  return Object.entries(rows).map(([key, values]) => ({
    path: `run.${key}`,
    values: values.map((value) => (value === null ? null : JSON.stringify(value))),
  }));
}

function align(measures: readonly (readonly Measure[])[]): ComparedMeasure[] {
  const rows = new Map<string, ComparedMeasure>();
  measures.forEach((own, run) => {
    for (const measure of own) {
      const { name, split, of } = measure;
      const key = JSON.stringify([name, split, of]);
      const row = rows.get(key) ?? { name, split, of, values: measures.map(() => null) };
      row.values[run] = measure;
      rows.set(key, row);
    }
  });
  return [...rows.values()];
}

/** What runs that train an SAE on one-hop prompts have in common: how they are measured, stored and taken out. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import { insertRunSae } from '../db/queries/saes.ts';
import { conceptLatents, faithfulness, splitMeasures } from '../db/tables/index.ts';
import type { BaselineResult } from '../engine/contract/alignment.ts';
import { readConcepts } from './concepts.ts';
import { type Measure, plain, share, shareOf } from './measure.ts';
import { readModel } from './studied.ts';
import { conceptsOf, numbers, pick, type ResultTable, rate, storedIn, texts } from './table.ts';

export { type ConceptLatent, conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
export type SplitMeasures = typeof splitMeasures.$inferSelect;
export type Faithfulness = typeof faithfulness.$inferSelect;

/** Accuracy is stored as a share. */
const correct = ({ accuracy, examples }: Record<string, unknown>) =>
  Math.round(Number(accuracy) * Number(examples));

/** Binding and reconstruction, in rows of `split_measures`. */
export const BINDING_COLUMNS = {
  ...texts('split'),
  ...numbers('examples'),
  ...rate('accuracy', correct, 'examples'),
  ...numbers('top3 top5 diagonalAccuracy diagonalStrength valueAccuracy fvu l0 deadLatents'),
};

const binding: ResultTable = {
  description: 'Binding and reconstruction by split.',
  key: ['split'],
  ...storedIn(splitMeasures, BINDING_COLUMNS),
  measures: ({ split, examples, valueAccuracy, ...row }: SplitMeasures): Measure[] => [
    ...shareOf('BINDING_ACCURACY', row.accuracy, examples, { split }),
    ...shareOf('BINDING_TOP3', row.top3, examples, { split }),
    ...shareOf('BINDING_TOP5', row.top5, examples, { split }),
    plain('DIAGONAL_ACCURACY', row.diagonalAccuracy, { split }),
    plain('DIAGONAL_STRENGTH', row.diagonalStrength, { split }),
    ...(valueAccuracy === null ? [] : shareOf('VALUE_ACCURACY', valueAccuracy, examples, { split })),
    plain('FVU', row.fvu, { split }),
    plain('L0', row.l0, { split }),
    plain('DEAD_LATENTS', row.deadLatents, { split }),
  ],
};

const matrix: ResultTable = {
  description:
    'The binding matrix: share of the prompts about a concept whose strongest slot (of a baseline: best latent) is that of another.',
  columns: { ...texts('split concept slot'), ...numbers('share') },
  key: ['split', 'row', 'col'],
  rows: (runIds) => sql`
    select m.split, r.i as "row", c.i as col, a.key as concept, b.key as slot, c.value::float8 as share
    from split_measures m cross join jsonb_array_elements(m.matrix) with ordinality r (value, i)
      cross join jsonb_array_elements(r.value) with ordinality c (value, i)
      join ${conceptsOf(runIds)} a on a.run_id = m.run_id and a.position = r.i - 1
      join ${conceptsOf(runIds)} b on b.run_id = m.run_id and b.position = c.i - 1
    where m.run_id in ${runIds}`,
};

const answers: ResultTable = {
  description: 'Answers of the language model with the activation replaced, by split and replacement.',
  key: ['split', 'replacement'],
  ...storedIn(faithfulness, {
    ...texts('split replacement'),
    ...numbers('prompts correct'),
    ...rate('accuracy', 'correct', 'prompts'),
    ...numbers('crossEntropy'),
  }),
  measures({ split, replacement, correct, prompts, crossEntropy }: Faithfulness) {
    const where = { split, of: { replacement } };
    return [
      ...share('FAITHFUL_ACCURACY', correct, prompts, where),
      plain('CROSS_ENTROPY', crossEntropy, where),
    ];
  },
};

type LatentRow = Omit<typeof conceptLatents.$inferSelect, 'conceptId'> & { concept: string };

const LATENT_COLUMNS = {
  ...texts('concept'),
  ...numbers('latent separability heldOutSeparability meanActivation fragmentation'),
};

const latents: ResultTable = {
  description: 'The latent that tells each concept best.',
  columns: LATENT_COLUMNS,
  key: ['position'],
  rows: (runIds) => sql`
    select c.position, c.key as concept, ${pick(conceptLatents, ['runId', ...Object.keys(LATENT_COLUMNS)])}
    from ${conceptLatents} join concepts c on c.id = concept_id where run_id in ${runIds}`,
  measures({ concept, separability, heldOutSeparability, fragmentation }: LatentRow) {
    const of = { concept };
    return [
      // Not a number where all or no prompts are about the concept.
      ...(Number.isNaN(separability) ? [] : [plain('SEPARABILITY', separability, { split: 'TRAIN', of })]),
      ...(heldOutSeparability === null
        ? []
        : [plain('SEPARABILITY', heldOutSeparability, { split: 'TEST_OOD', of })]),
      plain('FRAGMENTATION', fragmentation, { split: 'TRAIN', of }),
    ];
  },
};

export const SAE_TABLES = { binding, matrix, faithfulness: answers, latents };

/** For each run how the model answers with its activations replaced, by split and replacement. */
export function faithfulnessOfRuns(db: Executor, runIds: readonly string[]): Promise<Faithfulness[][]> {
  const { split, replacement } = faithfulness;
  return readGroups(db, faithfulness, faithfulness.runId, runIds, [split, replacement]);
}

/** Stores what is measured of every SAE; returns the ids of the concepts by the engine's numbers. */
export async function storeMeasures(
  tx: Executor,
  run: { id: string; datasetId: string },
  result: Pick<BaselineResult, 'measures' | 'conceptLatents' | 'faithfulness'>,
): Promise<string[]> {
  const runId = run.id;
  const conceptIds = (await readConcepts(tx, run)).map(({ id }) => id);
  const measures = result.measures.map((measure) => ({ ...measure, runId }));
  const best = result.conceptLatents.map(({ concept, ...latent }) => ({
    ...latent,
    runId,
    conceptId: conceptIds[concept]!,
  }));
  const replaced = result.faithfulness.map((measure) => ({ ...measure, runId }));
  if (measures.length > 0) await tx.insert(splitMeasures).values(measures);
  if (best.length > 0) await tx.insert(conceptLatents).values(best);
  if (replaced.length > 0) await tx.insert(faithfulness).values(replaced);
  return conceptIds;
}

/** Notes the SAE that the run has trained: which slots it has, and how its latents fire. */
export async function noteSae(
  tx: Executor,
  run: Omit<RunOf<'ALIGNMENT' | 'BASELINE'>, 'result'>,
  { artifactHash, nConcepts }: { artifactHash: string; nConcepts: number },
): Promise<void> {
  const { layer, nFree, activation, k } = run.settings;
  const { config } = await readModel(tx, run.modelId!);
  const shape = { dModel: config.dModel, nFree, nConcepts, activation, k };
  await insertRunSae(tx, run, { artifactHash, layer, config: shape });
}

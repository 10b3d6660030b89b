/** What runs that train an SAE on one-hop prompts have in common: how they are measured, stored and taken out. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { conceptLatents, faithfulness, splitMeasures } from '../db/tables/index.ts';
import type { BaselineResult } from '../engine/contract/alignment.ts';
import { readConcepts } from './concepts.ts';
import { type Measure, plain, share, shareOf } from './measure.ts';
import { conceptsOf, number, type ResultTable, rate, text } from './table.ts';

export { type ConceptLatent, conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
export type SplitMeasures = typeof splitMeasures.$inferSelect;
export type Faithfulness = typeof faithfulness.$inferSelect;

/** Binding and reconstruction, of `split_measures m`. */
export const BINDING = {
  columns: {
    split: text,
    examples: number,
    ...rate(
      'accuracy',
      ({ accuracy, examples }) => Math.round(Number(accuracy) * Number(examples)),
      'examples',
    ),
    top3: number,
    top5: number,
    diagonalAccuracy: number,
    diagonalStrength: number,
    valueAccuracy: number,
    fvu: number,
    l0: number,
    deadLatents: number,
  },
  select: sql.raw(`m.split, m.examples, m.accuracy, m.top3, m.top5, m.diagonal_accuracy as "diagonalAccuracy",
    m.diagonal_strength as "diagonalStrength", m.value_accuracy as "valueAccuracy", m.fvu, m.l0,
    m.dead_latents as "deadLatents"`),
};

const binding: ResultTable = {
  description: 'Binding and reconstruction by split.',
  columns: BINDING.columns,
  key: ['split'],
  rows: (runIds) => sql`
    select m.run_id as "runId", ${BINDING.select} from split_measures m where m.run_id in ${runIds}`,
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
  columns: { split: text, concept: text, slot: text, share: number },
  key: ['split', 'row', 'col'],
  rows: (runIds) => sql`
    select m.split, r.i as "row", c.i as col, a.key as concept, b.key as slot, c.value::float8 as share
    from split_measures m cross join jsonb_array_elements(m.matrix) with ordinality r (value, i)
      cross join jsonb_array_elements(r.value) with ordinality c (value, i)
      join ${conceptsOf(runIds)} a on a.run_id = m.run_id and a.position = r.i - 1
      join ${conceptsOf(runIds)} b on b.run_id = m.run_id and b.position = c.i - 1
    where m.run_id in ${runIds}`,
};

const faithfulnessTable: ResultTable = {
  description: 'Answers of the language model with the activation replaced, by split and replacement.',
  columns: {
    split: text,
    replacement: text,
    prompts: number,
    correct: number,
    ...rate('accuracy', ({ correct }) => correct, 'prompts'),
    crossEntropy: number,
  },
  key: ['split', 'replacement'],
  rows: (runIds) => sql`
    select run_id as "runId", split, replacement, prompts, correct, cross_entropy as "crossEntropy"
    from faithfulness where run_id in ${runIds}`,
  measures({ split, replacement, correct, prompts, crossEntropy }: Faithfulness) {
    const where = { split, of: { replacement } };
    return [
      ...share('FAITHFUL_ACCURACY', correct, prompts, where),
      plain('CROSS_ENTROPY', crossEntropy, where),
    ];
  },
};

type LatentRow = Omit<typeof conceptLatents.$inferSelect, 'conceptId'> & { concept: string };

const latents: ResultTable = {
  description: 'The latent that tells each concept best.',
  columns: {
    concept: text,
    latent: number,
    separability: number,
    heldOutSeparability: number,
    meanActivation: number,
    fragmentation: number,
  },
  key: ['position'],
  rows: (runIds) => sql`
    select l.run_id as "runId", c.position, c.key as concept, l.latent, l.separability, l.fragmentation,
      l.held_out_separability as "heldOutSeparability", l.mean_activation as "meanActivation"
    from concept_latents l join concepts c on c.id = l.concept_id where l.run_id in ${runIds}`,
  measures({ concept, separability, heldOutSeparability, fragmentation }: LatentRow) {
    const of = { concept };
    return [
      plain('SEPARABILITY', separability, { split: 'TRAIN', of }),
      ...(heldOutSeparability === null
        ? []
        : [plain('SEPARABILITY', heldOutSeparability, { split: 'TEST_OOD', of })]),
      plain('FRAGMENTATION', fragmentation, { split: 'TRAIN', of }),
    ];
  },
};

export const SAE_TABLES = { binding, matrix, faithfulness: faithfulnessTable, latents };

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
  const answers = result.faithfulness.map((measure) => ({ ...measure, runId }));
  if (measures.length > 0) await tx.insert(splitMeasures).values(measures);
  if (best.length > 0) await tx.insert(conceptLatents).values(best);
  if (answers.length > 0) await tx.insert(faithfulness).values(answers);
  return conceptIds;
}

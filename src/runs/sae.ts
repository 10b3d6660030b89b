/** What runs that train an SAE on one-hop prompts have in common: how they are measured, stored and taken out. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { readGroups } from '../db/queries/byIds.ts';
import { insertSurvey } from '../db/queries/latentStats.ts';
import type { RunOf } from '../db/queries/runOf.ts';
import { insertRunSae } from '../db/queries/saes.ts';
import { conceptLatents, faithfulness, splitMeasures } from '../db/tables/index.ts';
import type { BaselineResult, Concentration } from '../engine/contract/alignment.ts';
import type { LatentSurvey } from '../engine/contract/latents.ts';
import { readConcepts } from './concepts.ts';
import { type Measure, type MeasureName, plain, share, shareOf } from './measure.ts';
import { readModel } from './studied.ts';
import { conceptsOf, numbers, pick, type ResultTable, rate, storedIn, texts } from './table.ts';

export { type ConceptLatent, conceptLatentsOfRuns } from '../db/queries/conceptLatents.ts';
export type SplitMeasures = typeof splitMeasures.$inferSelect;
export type Faithfulness = typeof faithfulness.$inferSelect;

/** Accuracy is stored as a share. */
const correct = ({ accuracy, examples }: Record<string, unknown>) =>
  Math.round(Number(accuracy) * Number(examples));

/** Of which latents a concept's share is taken, by the column that has it. */
const CONCENTRATIONS = { all: 'concentration', slots: 'slotConcentration' } as const;
type Over = keyof typeof CONCENTRATIONS;

type Concentrations = Pick<SplitMeasures, (typeof CONCENTRATIONS)[Over]>;

/** Mean over the concepts that have one; null where none has, or where it was not measured. */
export function meanConcentration(measures: Concentrations, over: Over): Concentration | null {
  const known = measures[CONCENTRATIONS[over]]?.flatMap((one) => one ?? []) ?? [];
  if (known.length === 0) return null;
  const mean = (key: keyof Concentration) => known.reduce((sum, one) => sum + one[key], 0) / known.length;
  return { effFeat: mean('effFeat'), top1Conc: mean('top1Conc') };
}

const concentrated = (over: Over, key: keyof Concentration) => ({
  type: 'number' as const,
  from: (row: Record<string, unknown>) => meanConcentration(row as Concentrations, over)?.[key] ?? null,
});

/** Binding and reconstruction, in rows of `split_measures`. */
export const BINDING_COLUMNS = {
  ...texts('split'),
  ...numbers('examples'),
  ...rate('accuracy', correct, 'examples'),
  ...numbers('top3 top5 diagonalAccuracy diagonalStrength slotMargin'),
  effFeat: concentrated('all', 'effFeat'),
  top1Conc: concentrated('all', 'top1Conc'),
  slotEffFeat: concentrated('slots', 'effFeat'),
  slotTop1Conc: concentrated('slots', 'top1Conc'),
  ...numbers('valueAccuracy fvu l0 deadLatents'),
};
/** What of `split_measures` these columns are made of. */
export const BINDING_SOURCES = [...Object.keys(BINDING_COLUMNS), ...Object.values(CONCENTRATIONS)];

const binding: ResultTable = {
  description: 'Binding and reconstruction by split.',
  key: ['split'],
  ...storedIn(splitMeasures, BINDING_COLUMNS, { also: Object.values(CONCENTRATIONS) }),
  measures: ({ split, examples, valueAccuracy, slotMargin, ...row }: SplitMeasures): Measure[] => [
    ...shareOf('BINDING_ACCURACY', row.accuracy, examples, { split }),
    ...shareOf('BINDING_TOP3', row.top3, examples, { split }),
    ...shareOf('BINDING_TOP5', row.top5, examples, { split }),
    plain('DIAGONAL_ACCURACY', row.diagonalAccuracy, { split }),
    plain('DIAGONAL_STRENGTH', row.diagonalStrength, { split }),
    ...(slotMargin === null ? [] : [plain('SLOT_MARGIN', slotMargin, { split })]),
    ...concentrationMeasures(row, split),
    ...(valueAccuracy === null ? [] : shareOf('VALUE_ACCURACY', valueAccuracy, examples, { split })),
    plain('FVU', row.fvu, { split }),
    plain('L0', row.l0, { split }),
    plain('DEAD_LATENTS', row.deadLatents, { split }),
  ],
};

function concentrationMeasures(row: Concentrations, split: SplitMeasures['split']): Measure[] {
  return Object.keys(CONCENTRATIONS).flatMap((over) => {
    const mean = meanConcentration(row, over as Over);
    const of = { over: over.toUpperCase() };
    const one = (name: MeasureName, value: number) => plain(name, value, { split, of });
    return mean ? [one('EFF_FEAT', mean.effFeat), one('TOP1_CONC', mean.top1Conc)] : [];
  });
}

/** What is counted concept by concept, where the run counted it. */
const concepts: ResultTable = {
  description: 'Binding, spread over latents and values of each concept’s prompts, by split.',
  columns: {
    ...texts('split concept'),
    ...numbers('bindingAccuracy valueAccuracy effFeat top1Conc slotEffFeat slotTop1Conc'),
    ...numbers('answered answeredCorrectly'),
    ...rate('answerAccuracy', 'answeredCorrectly', 'answered'),
  },
  key: ['split', 'position'],
  rows: (runIds) => sql`
    select m.split, c.position, c.key as concept,
      (m.concept_accuracy ->> c.position)::float8 as "bindingAccuracy",
      (m.concept_value_accuracy ->> c.position)::float8 as "valueAccuracy",
      (m.concentration -> c.position ->> 'effFeat')::float8 as "effFeat",
      (m.concentration -> c.position ->> 'top1Conc')::float8 as "top1Conc",
      (m.slot_concentration -> c.position ->> 'effFeat')::float8 as "slotEffFeat",
      (m.slot_concentration -> c.position ->> 'top1Conc')::float8 as "slotTop1Conc",
      (f.concepts -> c.position ->> 'prompts')::int as answered,
      (f.concepts -> c.position ->> 'correct')::int as "answeredCorrectly"
    from split_measures m join ${conceptsOf(runIds)} c on c.run_id = m.run_id
      left join faithfulness f on f.run_id = m.run_id and f.split = m.split and f.replacement = 'CLEAN'
    where m.run_id in ${runIds}`,
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

export const SAE_TABLES = { binding, concepts, matrix, faithfulness: answers, latents };

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

/** Notes the SAE that the run has trained: which slots it has, how its latents fire, and what was measured of them all. */
export async function noteSae(
  tx: Executor,
  run: Omit<RunOf<'ALIGNMENT' | 'BASELINE'>, 'result'>,
  { artifactHash, nConcepts, survey }: { artifactHash: string; nConcepts: number; survey: LatentSurvey },
): Promise<void> {
  const { layer, nFree, activation, k } = run.settings;
  const { config } = await readModel(tx, run.modelId!);
  const shape = { dModel: config.dModel, nFree, nConcepts, activation, k };
  const sae = await insertRunSae(tx, run, { artifactHash, layer, config: shape });
  await insertSurvey(tx, { saeId: sae.id, datasetId: run.datasetId }, survey);
}

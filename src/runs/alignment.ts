/** Runs that train an SAE and bind its slots to the concepts of an ontology. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { isOfKind, type RunOf } from '../db/queries/runOf.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { slotKnocks, slots, swapMeasures } from '../db/tables/index.ts';
import { resolveAlignmentSettings } from '../engine/contract/alignmentPresets.ts';
import type { AlignmentSettings, AlignmentSettingsInput } from '../engine/contract/alignmentSettings.ts';
import { needsModel } from '../engine/contract/captured.ts';
import { invalidInput, notFound } from '../errors.ts';
import { findConcept, readConcepts } from './concepts.ts';
import { chooseCorpus, loadCorpusRef } from './corpus.ts';
import type { EngineKind } from './kind.ts';
import { looseShares, plain, share } from './measure.ts';
import { loadUsedSae, settingsFor } from './pretrained.ts';
import { noteSae, SAE_TABLES, storeMeasures } from './sae.ts';
import { queueRun } from './start.ts';
import { checkLayer, chooseStudied, type Dataset, loadSettled, type Model, type Studied } from './studied.ts';
import {
  booleans,
  conceptsOf,
  json,
  knownRate,
  looseRate,
  numbers,
  type ResultTable,
  successRate,
  texts,
  times,
} from './table.ts';

/** Success of swaps, of `swap_measures m`. */
export const SWAPS = {
  columns: {
    ...texts('population split edited'),
    ...numbers('alpha'),
    ...booleans('chosen'),
    ...successRate,
    ...looseRate,
    ...knownRate,
  },
  select: sql.raw(
    'm.population, m.split, m.control as edited, m.alpha, m.chosen, m.trials, m.successes, m.loose_successes as "looseSuccesses", m.category_kept as "categoryKept", m.known_trials as "knownTrials", m.known_successes as "knownSuccesses", m.left_out as "leftOut"',
  ),
};

type StoredSwap = typeof swapMeasures.$inferSelect;
type SwapRow = Omit<StoredSwap, 'control'> & { edited: StoredSwap['control'] };

const swaps: ResultTable = {
  description: 'Success of concept swaps beside the random-latent control, by population, split and alpha.',
  columns: SWAPS.columns,
  key: ['population', 'split', 'edited', 'alpha'],
  rows: (runIds) => sql`
    select m.run_id as "runId", ${SWAPS.select} from swap_measures m where m.run_id in ${runIds}`,
  /** At the alpha chosen on validation. */
  measures({ chosen, population, edited, split, alpha, ...row }: SwapRow) {
    if (!chosen) return [];
    const where = { split, of: { population, edited }, alpha };
    return [
      ...share('SWAP_SUCCESS', row.successes, row.trials, where),
      ...looseShares(row, where),
      ...share('KNOWN_SWAP_SUCCESS', row.knownSuccesses, row.knownTrials, where),
    ];
  },
};

const interventions: ResultTable = {
  description: 'The concept swaps that were done one by one, oldest first.',
  columns: {
    id: { type: 'id Intervention' },
    ...times('createdAt'),
    ...texts('method'),
    ...numbers('alpha'),
    ...booleans('armed'),
    ...texts('placement'),
    ...numbers('alphaLater'),
    ...texts('sourceConcept targetConcept prompt expectedAnswer'),
    ...booleans('success known'),
    ...texts('baseline result'),
    ...json('baselineTokens resultTokens slots'),
  },
  key: ['createdAt', 'id'],
  rows: (runIds) => sql`
    select i.id, i.created_at as "createdAt", i.method, i.alpha, (i.placement = 'ARMED') as armed,
      i.placement, i.alpha_later as "alphaLater", s.key as "sourceConcept",
      t.key as "targetConcept", i.prompt, i.expected_answer as "expectedAnswer", i.success, i.known,
      i.baseline ->> 'text' as baseline, i.result ->> 'text' as result,
      i.baseline -> 'tokens' as "baselineTokens", i.result -> 'tokens' as "resultTokens", i.slots
    from interventions i join concepts s on s.id = i.source_concept_id
      join concepts t on t.id = i.target_concept_id
    where i.run_id in ${runIds}`,
};

const { binding, concepts, matrix, faithfulness, latents } = SAE_TABLES;

type KnockRow = Omit<typeof slotKnocks.$inferSelect, 'conceptId' | 'others'> & {
  slot: string;
  concept: string;
  asked: boolean;
  answers: number;
  change: number | null;
};

const knocks: ResultTable = {
  description:
    'Change of the log-odds of answers where single slots are knocked out or in: of the answer asked for, and of each concept’s where another is asked.',
  columns: {
    ...texts('edit slot split'),
    ...numbers('prompts'),
    ...booleans('asked'),
    ...texts('concept'),
    ...numbers('answers change'),
  },
  key: ['edit', 'position', 'i'],
  rows: (runIds) => sql`
    select k.run_id as "runId", k.edit, s.position, s.key as slot, k.split, k.prompts, o.i, o.i = 0 as asked,
      c.key as concept, o.answers, o.change
    from slot_knocks k join concepts s on s.id = k.concept_id cross join lateral (
      select 0 as i, k.asked_answers as answers, k.asked_change as change union all
      select e.i, (e.other ->> 'answers')::int, (e.other ->> 'change')::float8
      from jsonb_array_elements(k.others) with ordinality e (other, i)) o
      left join ${conceptsOf(runIds)} c on c.run_id = k.run_id and c.position = o.i - 1
    where k.run_id in ${runIds}`,
  measures: ({ edit, slot, split, asked, change }: KnockRow) =>
    asked && change !== null ? [plain(edit, change, { split, of: { slot } })] : [],
};

export const alignment: EngineKind<'ALIGNMENT'> = {
  tables: { binding, concepts, matrix, swaps, knocks, interventions, faithfulness, latents },
  checkpoints: true,
  load: async (source, run) => ({
    kind: 'ALIGNMENT',
    ...(await loadSettled(source, run)),
    corpus: await loadCorpusRef(source, run),
    pretrained: await loadUsedSae(source, run.id),
  }),
  async store({ tx, keep }, run, result) {
    const artifactHash = await keep(result.weights, 'SAE');
    const { bestStep, dModel, chosenAlpha, sinks, survey } = result;
    const conceptIds = await storeMeasures(tx, run, result);
    await noteSae(tx, run, { artifactHash, nConcepts: conceptIds.length, survey });
    await tx.insert(slots).values(
      result.slots.map(({ concept, ...slot }) => ({
        ...slot,
        runId: run.id,
        conceptId: conceptIds[concept]!,
      })),
    );
    if (result.knocks.length > 0)
      await tx.insert(slotKnocks).values(
        result.knocks.map(({ slot, asked, ...knock }) => ({
          ...knock,
          runId: run.id,
          conceptId: conceptIds[slot]!,
          askedAnswers: asked.answers,
          askedChange: asked.change,
        })),
      );
    if (result.swaps.length > 0)
      await tx
        .insert(swapMeasures)
        .values(result.swaps.map((swap) => ({ ...swap, runId: run.id, chosen: swap.alpha === chosenAlpha })));
    return { artifactHash, result: { bestStep, dModel, chosenAlpha, sinks } };
  },
};

export interface NewAlignmentRun extends Studied {
  /** The texts that settings with TEXTS read. */
  corpusId?: string;
  /** The SAE to begin with, in the place of the first stage. */
  pretrainedSaeId?: string;
  settings?: AlignmentSettingsInput;
}

/**
 * Queues the alignment of a model's activations to the ontology of a dataset.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startAlignmentRun(db: Executor, input: NewAlignmentRun): Promise<Run> {
  const { settings, model, dataset, corpusId } = await planAlignment(db, input);
  checkLayer(model, settings.layer, ['settings', 'layer']);
  return queueRun(
    db,
    { kind: 'ALIGNMENT', settings, modelId: model.id, corpusId },
    dataset,
    input.pretrainedSaeId,
  );
}

/** The settings in force; an SAE to begin with decides some. @throws AppError as `startAlignmentRun` does. */
export async function settleSettings(db: Executor, input: NewAlignmentRun): Promise<AlignmentSettings> {
  const { settings = {}, pretrainedSaeId } = input;
  return resolveAlignmentSettings(
    pretrainedSaeId === undefined ? settings : await settingsFor(db, { ...input, pretrainedSaeId }),
  );
}

/** What an alignment is made of; `checkLayer` is the caller's part. @throws AppError as `startAlignmentRun` does. */
export async function planAlignment(
  db: Executor,
  input: NewAlignmentRun,
): Promise<{ settings: AlignmentSettings; model: Model; dataset: Dataset; corpusId: string | undefined }> {
  const settings = await settleSettings(db, input);
  if (settings.activation === 'JUMP_RELU' && input.pretrainedSaeId === undefined)
    throw invalidInput(
      ['settings', 'activation'],
      'activation must not be JUMP_RELU unless pretrainedSaeId names an SAE that has its thresholds',
    );
  const studied = await chooseStudied(db, input);
  checkCaptured(studied.model, settings);
  const concepts = await readConcepts(db, { datasetId: studied.dataset.id });
  settings.withheldTargets.forEach((key, i) => {
    findConcept(concepts, key, ['settings', 'withheldTargets', String(i)]);
  });
  const corpusId = await chooseCorpus(db, input.corpusId, settings, 'pretrainOn');
  return { settings, ...studied, corpusId };
}

/** @throws AppError INVALID_INPUT naming a setting that needs a model that computes. */
export function checkCaptured({ config }: Pick<Model, 'config'>, settings: AlignmentSettings): void {
  const issue = config.captured && needsModel(settings);
  if (issue) throw invalidInput(issue.path, issue.message);
}

/**
 * @param what What needs it, such as `a swap`.
 * @throws AppError NOT_FOUND; INVALID_INPUT at `runId` for any other run.
 */
export async function readAlignment(
  db: Executor,
  id: string,
  what: string,
): Promise<Run & RunOf<'ALIGNMENT'>> {
  const run = await readRun(db, id);
  if (!run) throw notFound('Run', id);
  if (isOfKind(run, 'ALIGNMENT') && run.status === 'SUCCEEDED') return run;
  throw invalidInput(
    ['runId'],
    `${what} needs an alignment run that has SUCCEEDED; this is a run of kind ${run.kind} in status ${run.status}`,
  );
}

/** The alpha that the run chose on validation; null where it could not. */
export function chosenAlphaOf(run: RunOf<'ALIGNMENT'>): number | null {
  return run.result?.chosenAlpha ?? null;
}

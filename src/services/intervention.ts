/** Concept swaps on single prompts: done by the engine while the caller waits, judged, and kept. */
import { and, asc, eq, type SQL } from 'drizzle-orm';
import { z } from 'zod';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import { type Run, readRun } from '../db/queries/runs.ts';
import { concepts, datasets, examples, facts, interventions } from '../db/tables.ts';
import { SWAP_METHODS, type SwapCall, type SwapMethod } from '../engine/align/swap.ts';
import { sameAnswer } from '../engine/data/answers.ts';
import { AppError, invalidInput, notFound, parseOrThrow } from '../errors.ts';
import { loadModelRef } from '../jobs/load.ts';
import type { Engine } from './engine.ts';

export type Intervention = typeof interventions.$inferSelect;
type Concept = typeof concepts.$inferSelect;

export interface InterventionFilter {
  runId?: string | null;
  success?: boolean | null;
  method?: SwapMethod | null;
  sourceConceptId?: string | null;
  targetConceptId?: string | null;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MAX_PROMPT = 10_000;

const swapRequest = z
  .strictObject({
    runId: z.uuid(),
    exampleId: z.uuid().optional(),
    prompt: z
      .string()
      .max(MAX_PROMPT, { message: `prompt must have at most ${MAX_PROMPT} characters` })
      .refine((text) => text.trim() !== '', { message: 'prompt must not be empty' })
      .optional(),
    entity: z.string().optional(),
    /** Key or id; the prompt's strongest slot if left out. */
    sourceConcept: z.string().optional(),
    targetConcept: z.string(),
    method: z.enum(SWAP_METHODS).default('LATENT_DECODE'),
    alpha: z
      .number({ message: 'alpha must be a finite number' })
      .min(-1000, { message: 'alpha must be at least -1000' })
      .max(1000, { message: 'alpha must be at most 1000' })
      .optional(),
    maxNewTokens: z
      .int({ message: 'maxNewTokens must be a whole number' })
      .min(1, { message: 'maxNewTokens must be at least 1' })
      .max(256, { message: 'maxNewTokens must be at most 256' })
      .default(16),
  })
  .refine((input) => (input.exampleId === undefined) !== (input.prompt === undefined), {
    path: ['prompt'],
    message: 'give either exampleId or prompt',
  })
  .refine((input) => input.exampleId === undefined || input.entity === undefined, {
    path: ['entity'],
    message: 'entity goes with prompt; an example names its own',
  });

export type SwapRequest = z.input<typeof swapRequest>;

/**
 * Swaps the concept of one prompt and stores what came of it. The edit is made at the last prompt token of the
 * run's layer; both continuations are greedy.
 * @throws AppError INVALID_INPUT, NOT_FOUND; UNAVAILABLE when the engine cannot be had.
 */
export async function swapConcept(
  { db, store, engine }: { db: Db; store: ArtifactStore; engine: Pick<Engine, 'call'> },
  request: SwapRequest,
): Promise<Intervention> {
  const input = parseOrThrow(swapRequest, request);
  const run = await readAlignment(db, input.runId);
  const ontology = await readConcepts(db, run);
  const target = findConcept(ontology, input.targetConcept, 'targetConcept');
  const source =
    input.sourceConcept === undefined ? null : findConcept(ontology, input.sourceConcept, 'sourceConcept');
  if (source?.id === target.id)
    throw invalidInput(['targetConcept'], `source and target are both "${target.key}"; name two concepts`);
  const question = await readQuestion(db, run, input);
  const alpha = input.alpha ?? chosenAlphaOf(run) ?? 1;
  const call: SwapCall = {
    model: await loadModelRef(db, store, run.modelId!),
    sae: await store.path(run.artifactHash!),
    prompt: question.prompt,
    source: source?.position ?? null,
    target: target.position,
    method: input.method,
    alpha,
    maxNewTokens: input.maxNewTokens,
  };
  const answer = await engine.call('swap', call).catch((error) => {
    throw inCallersTerms(error, target);
  });
  const expectedAnswer = await readExpected(db, run.datasetId, question.entity, target.id);
  const [stored] = await db
    .insert(interventions)
    .values({
      runId: run.id,
      exampleId: input.exampleId ?? null,
      method: input.method,
      alpha,
      sourceConceptId: ontology[answer.source]!.id,
      targetConceptId: target.id,
      prompt: question.prompt,
      expectedAnswer,
      success: expectedAnswer === null ? null : sameAnswer(answer.result.text, expectedAnswer),
      baseline: answer.baseline,
      result: answer.result,
      slots: answer.slots,
    })
    .returning();
  return stored!;
}

/** For each id its intervention, or null. */
export function interventionsByIds(db: Executor, ids: readonly string[]): Promise<(Intervention | null)[]> {
  return readByIds(db, interventions, interventions.id, ids);
}

const NEWEST_FIRST = { columns: [interventions.createdAt, interventions.id], direction: 'desc' } as const;

/** Interventions that fit the filter, newest first. */
export function listInterventions(
  db: Executor,
  filter: InterventionFilter,
  args: PageArgs,
): Promise<Page<Intervention>> {
  const { runId, success, method, sourceConceptId, targetConceptId } = filter;
  const where: (SQL | undefined)[] = [
    runId == null ? undefined : eq(interventions.runId, runId),
    success == null ? undefined : eq(interventions.success, success),
    method == null ? undefined : eq(interventions.method, method),
    sourceConceptId == null ? undefined : eq(interventions.sourceConceptId, sourceConceptId),
    targetConceptId == null ? undefined : eq(interventions.targetConceptId, targetConceptId),
  ];
  return readPage(db, interventions, { where: and(...where), order: NEWEST_FIRST }, args);
}

/** For each run one page of its interventions, newest first. */
export function pageInterventionsOfRuns(
  db: Executor,
  runIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Intervention>>> {
  const query = { by: interventions.runId, values: runIds, order: NEWEST_FIRST };
  return readPages(db, interventions, query, args);
}

async function readAlignment(db: Executor, id: string): Promise<Run> {
  const run = await readRun(db, id);
  if (!run) throw notFound('Run', id);
  if (run.kind === 'ALIGNMENT' && run.status === 'SUCCEEDED') return run;
  throw invalidInput(
    ['runId'],
    `a swap needs an alignment run that has SUCCEEDED; this is a run of kind ${run.kind} in status ${run.status}`,
  );
}

/** The run's concepts; a concept's index is the engine's number for it. */
async function readConcepts(db: Executor, run: Run): Promise<Concept[]> {
  const rows = await db
    .select({ concept: concepts })
    .from(concepts)
    .innerJoin(datasets, eq(datasets.ontologyId, concepts.ontologyId))
    .where(eq(datasets.id, run.datasetId))
    .orderBy(asc(concepts.position));
  return rows.map((row) => row.concept);
}

function findConcept(ontology: readonly Concept[], keyOrId: string, field: string): Concept {
  const concept = ontology.find(({ id, key }) => (UUID.test(keyOrId) ? id === keyOrId : key === keyOrId));
  if (concept) return concept;
  const keys = ontology.map(({ key }) => key).join(', ');
  throw invalidInput(
    [field],
    `"${keyOrId}" is not a concept of this run's ontology; its concepts are ${keys}`,
  );
}

async function readQuestion(
  db: Executor,
  run: Run,
  input: { exampleId?: string; prompt?: string; entity?: string },
): Promise<{ prompt: string; entity: string | null }> {
  if (input.exampleId === undefined) {
    const entity = input.entity ?? null;
    if (entity !== null) await checkEntity(db, run.datasetId, entity);
    return { prompt: input.prompt!, entity };
  }
  const [example] = await readByIds(db, examples, examples.id, [input.exampleId]);
  if (!example) throw notFound('Example', input.exampleId);
  if (example.datasetId !== run.datasetId)
    throw invalidInput(['exampleId'], "the example belongs to another dataset than the run's");
  return { prompt: example.prompt, entity: example.entity };
}

/** A misspelt entity would otherwise look like one that has no such fact. */
async function checkEntity(db: Executor, datasetId: string, entity: string): Promise<void> {
  const [known] = await db
    .select({ id: facts.id })
    .from(facts)
    .where(and(eq(facts.datasetId, datasetId), eq(facts.entity, entity)))
    .limit(1);
  if (!known) throw invalidInput(['entity'], `the run's dataset has no facts about "${entity}"`);
}

async function readExpected(
  db: Executor,
  datasetId: string,
  entity: string | null,
  conceptId: string,
): Promise<string | null> {
  if (entity === null) return null;
  const [fact] = await db
    .select({ value: facts.value })
    .from(facts)
    .where(and(eq(facts.datasetId, datasetId), eq(facts.entity, entity), eq(facts.conceptId, conceptId)))
    .orderBy(asc(facts.position))
    .limit(1);
  return fact?.value ?? null;
}

/** The engine knows concepts by number; the one thing it can find wrong with them is a swap of one for itself. */
function inCallersTerms(error: unknown, { key }: Concept): unknown {
  if (!(error instanceof AppError) || error.path[0] !== 'target') return error;
  return invalidInput(
    ['targetConcept'],
    `"${key}" is what the prompt is about already, by its strongest slot; name another target, or a source`,
  );
}

function chosenAlphaOf(run: Run): number | null {
  return (run.result as { chosenAlpha?: number | null } | null)?.chosenAlpha ?? null;
}

/** A concept swap on one prompt: done by the engine while the caller waits, judged, and kept. */
import { randomUUID } from 'node:crypto';
import { and, asc, eq } from 'drizzle-orm';
import { z } from 'zod';
import { isAnswer } from '../data/answers.ts';
import { longText, shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { readPromptsBeside } from '../db/queries/entityPrompts.ts';
import type { Run } from '../db/queries/runs.ts';
import { facts, interventions } from '../db/tables/index.ts';
import { number, reading, whole, withFallback } from '../engine/contract/describe.ts';
import { laterAlpha, swapMethod, swapPlacement } from '../engine/contract/swap.ts';
import { alphaLater } from '../engine/contract/swapSweepSettings.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import {
  chosenAlphaOf,
  findConcept,
  loadPair,
  readAlignment,
  readConcepts,
  readExample,
} from './alignment.ts';
import type { Example } from './dataset.ts';
import type { Engine } from './engine.ts';
import type { Intervention } from './intervention.ts';
import type { Concept } from './ontology.ts';

/** How a swap is made; of the edits of a generation too. */
export const swapSettings = z.strictObject({
  method: swapMethod.describe('How to edit.').default('LATENT_DECODE'),
  alpha: withFallback(
    number(-1000, 1000).describe("The value for the target's slot.").optional(),
    "the run's `chosenAlpha`, or 1 where it has none",
  ),
  armed: z
    .boolean()
    .describe(
      'True: the edit stands ready at every position of prompt and answer and fires only where the source slot is above 0.5: `placement` ARMED by another name.',
    )
    .default(false),
  placement: withFallback(
    swapPlacement.describe('Where the edit is made.').optional(),
    'ARMED where `armed` is true, otherwise where the alignment was trained: its `positions`',
  ),
  alphaLater,
  maxNewTokens: whole(1, 256).describe('Longest answer in tokens.').default(16),
});

const swapRequest = swapSettings
  .extend({
    runId: z.uuid(),
    exampleId: z.uuid().optional(),
    prompt: longText.optional(),
    /** Whom or what `prompt` is about. */
    entity: shortText.optional(),
    /** Key or id; the prompt's strongest slot if left out. */
    sourceConcept: z.string().optional(),
    targetConcept: z.string(),
    store: z.boolean().default(true),
  })
  .refine((input) => (input.exampleId === undefined) !== (input.prompt === undefined), {
    path: ['prompt'],
    error: 'give either exampleId or prompt',
    ...reading('exampleId', 'prompt'),
  })
  .refine(({ armed, placement = 'ARMED' }) => !armed || placement === 'ARMED', {
    path: ['placement'],
    error: 'must be ARMED, or left out, where armed is true',
    ...reading('armed', 'placement'),
  })
  .refine((input) => input.exampleId === undefined || input.entity === undefined, {
    path: ['entity'],
    error: 'entity goes with prompt; an example names its own',
    ...reading('exampleId', 'entity'),
  });

export type SwapRequest = z.input<typeof swapRequest>;
type Input = z.output<typeof swapRequest>;

/** What a swap needs of its surroundings. */
export interface SwapDependencies {
  db: Db;
  store: ArtifactStore;
  engine: Pick<Engine, 'call'>;
}

/** What is asked, and about whom, if that is known. */
interface Question {
  example: Example | null;
  prompt: string;
  entity: string | null;
}

/**
 * Swaps the concept of one prompt and stores what came of it, unless `store` is false. The edit is made in the run's layer; both continuations are greedy.
 * @throws AppError INVALID_INPUT, NOT_FOUND; UNAVAILABLE when the engine cannot be had.
 */
export async function swapConcept(
  dependencies: SwapDependencies,
  request: SwapRequest,
): Promise<Intervention> {
  const { db } = dependencies;
  const input = parseOrThrow(swapRequest, request);
  const run = await readAlignment(db, input.runId, 'a swap');
  const ontology = await readConcepts(db, run);
  const { source, target } = chooseConcepts(ontology, input);
  const question = await readQuestion(db, run, input);
  const alpha = input.alpha ?? chosenAlphaOf(run) ?? 1;
  const placement = input.placement ?? (input.armed ? 'ARMED' : run.settings.positions);
  const later = laterAlpha(placement, alpha, input.alphaLater);
  const call = {
    ...{ prompt: question.prompt, source: source?.position ?? null, target: target.position },
    ...{ method: input.method, alpha, alphaLater: later, placement, maxNewTokens: input.maxNewTokens },
  };
  const pair = await loadPair(dependencies, run);
  const { example } = question;
  const asked = example
    ? { id: example.id, prompts: await readPromptsBeside(db, example, target.id) }
    : undefined;
  const answer = await dependencies.engine.call('swap', { ...call, ...pair, asked }).catch((error) => {
    throw inCallersTerms(error, target);
  });
  const expected = await readExpected(db, run.datasetId, question.entity, target.id);
  const { baseline, result, slots, known } = answer;
  const made: Intervention = {
    ...{ id: randomUUID(), createdAt: new Date(), runId: run.id, exampleId: example?.id ?? null },
    ...{ prompt: question.prompt, method: input.method, alpha, placement },
    alphaLater: placement === 'LAST_TOKEN' ? null : later,
    ...{ sourceConceptId: ontology[answer.source]!.id, targetConceptId: target.id },
    ...{ baseline, result, slots, known, expectedAnswer: expected[0] ?? null },
    success: expected.length === 0 ? null : isAnswer(result.text, expected, pair.model.prompted ?? {}),
  };
  if (!input.store) return made;
  // The database's clock orders lists.
  const { createdAt: _, ...values } = made;
  const [stored] = await db.insert(interventions).values(values).returning();
  return stored!;
}

function chooseConcepts(
  ontology: readonly Concept[],
  { sourceConcept, targetConcept }: Input,
): { source: Concept | null; target: Concept } {
  const target = findConcept(ontology, targetConcept, ['targetConcept']);
  const source = sourceConcept === undefined ? null : findConcept(ontology, sourceConcept, ['sourceConcept']);
  if (source?.id === target.id)
    throw invalidInput(['targetConcept'], `source and target are both "${target.key}"; name two concepts`);
  return { source, target };
}

async function readQuestion(db: Db, run: Run, input: Input): Promise<Question> {
  if (input.exampleId === undefined) {
    const entity = input.entity ?? null;
    if (entity !== null) await checkEntity(db, run.datasetId, entity);
    return { example: null, prompt: input.prompt!, entity };
  }
  const example = await readExample(db, run, input.exampleId);
  return { example, prompt: example.prompt, entity: example.entity };
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

/** The entity's values for the concept, the usual one first. */
async function readExpected(
  db: Executor,
  datasetId: string,
  entity: string | null,
  conceptId: string,
): Promise<string[]> {
  if (entity === null) return [];
  const rows = await db
    .select({ value: facts.value })
    .from(facts)
    .where(and(eq(facts.datasetId, datasetId), eq(facts.entity, entity), eq(facts.conceptId, conceptId)))
    .orderBy(asc(facts.position));
  return rows.map(({ value }) => value);
}

/** The engine knows concepts by number; the one thing it can find wrong with them is a swap of one for itself. */
function inCallersTerms(error: unknown, { key }: Concept): unknown {
  if (!(error instanceof AppError) || error.path[0] !== 'target') return error;
  return invalidInput(
    ['targetConcept'],
    `"${key}" is what the prompt is about already, by its strongest slot; name another target, or a source`,
  );
}

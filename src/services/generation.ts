/** Live generation: the engine continues a prompt while a caller watches and edits. */
import { z } from 'zod';
import { longText } from '../data/text.ts';
import type { Executor } from '../db/client.ts';
import { isOfKind } from '../db/queries/runOf.ts';
import { readRun } from '../db/queries/runs.ts';
import { reading, whole, withFallback } from '../engine/contract/describe.ts';
import { type SteeringEdit, swapEdit } from '../engine/contract/edits.ts';
import type { FinishedItem, GenerationItem, TokenItem } from '../engine/contract/generation.ts';
import { seed } from '../engine/contract/seed.ts';
import { AppError, invalidInput, parseOrThrow } from '../errors.ts';
import { chosenAlphaOf, findConcept, readAlignment, readExample } from './alignment.ts';
import { swapSettings } from './conceptSwap.ts';
import type { Example } from './dataset.ts';
import { editsInput } from './editInput.ts';
import { inEditsTerms, readSteered, resolveEdits, type Steered } from './editResolution.ts';
import type { EngineWork } from './engine.ts';
import type { Concept } from './ontology.ts';
import { chatSetting, loadSaePair, readSae, type Sae, saeOfRuns } from './sae.ts';

export const MAX_INTERVENTIONS = 16;
const MAX_NEW_TOKENS = 256;

/** When and how an edit is made on the way. */
export const editSettings = z.strictObject({
  method: swapSettings.shape.method,
  alpha: swapSettings.shape.alpha,
  fromStep: whole(0, MAX_NEW_TOKENS).describe('First step at which it is made.').default(0),
  untilStep: withFallback(
    whole(0, MAX_NEW_TOKENS)
      .describe(
        'Last step at which it is made, at least `fromStep`; 0 with `fromStep` 0 does what `swapConcept` does.',
      )
      .optional(),
    'the end',
  ),
  armed: swapSettings.shape.armed.describe(
    "True: it is made only at steps where the source's slot is above 0.5 before any edit.",
  ),
});

const intervention = editSettings
  .extend({
    targetConcept: z.string(),
    /** Key or id; the strongest slot at the last prompt token if left out. */
    sourceConcept: z.string().optional(),
  })
  .refine(({ fromStep, untilStep }) => untilStep === undefined || untilStep >= fromStep, {
    path: ['untilStep'],
    error: 'must be at least fromStep',
    ...reading('fromStep', 'untilStep'),
  });

/** How tokens are chosen. */
export const samplingSettings = z.strictObject({
  maxNewTokens: whole(1, MAX_NEW_TOKENS).describe('Most tokens to generate.').default(32),
  temperature: withFallback(
    z
      .number()
      .gt(0)
      .max(100)
      .describe('Draws tokens at random; below 1 sharpens, above 1 flattens.')
      .optional(),
    '1 where `topK` or `seed` is given; without any of the three the likeliest token is taken',
  ),
  topK: withFallback(
    whole(1, 1_000_000).describe('Draws from this many likeliest tokens.').optional(),
    'all',
  ),
  seed: withFallback(seed.describe('Seeds the draws: the same seed gives the same text.').optional(), '0'),
});

/** How a prompt of one's own is put to the model. */
export const chatSettings = z.strictObject({ chat: chatSetting });

const generationRequest = samplingSettings
  .extend({
    runId: z.uuid().optional(),
    saeId: z.uuid().optional(),
    exampleId: z.uuid().optional(),
    prompt: longText.optional(),
    chat: chatSetting,
    interventions: z.array(intervention).max(MAX_INTERVENTIONS).default([]),
    edits: editsInput.default([]),
  })
  .refine((input) => (input.runId === undefined) !== (input.saeId === undefined), {
    path: ['runId'],
    error: 'give either runId or saeId',
    ...reading('runId', 'saeId'),
  })
  .refine(({ chat, exampleId }) => !chat || exampleId === undefined, {
    path: ['chat'],
    error: 'goes with a prompt; an example is put as its dataset says',
    ...reading('chat', 'exampleId'),
  })
  .refine((input) => (input.exampleId === undefined) !== (input.prompt === undefined), {
    path: ['prompt'],
    error: 'give either exampleId or prompt',
    ...reading('exampleId', 'prompt'),
  });

export type GenerationRequest = z.input<typeof generationRequest>;
type Input = z.output<typeof generationRequest>;

export type GeneratedToken = Omit<TokenItem, 'slots'> & {
  slots: { concept: Concept; activation: number }[];
};
export type GenerationEvent = GeneratedToken | FinishedItem;

/**
 * Continues a prompt, token by token; resolves when the first token is there, so that whatever the engine refuses is
 * thrown here. `return` ends the work in the engine. Nothing is stored.
 * @throws AppError INVALID_INPUT, NOT_FOUND; UNAVAILABLE when the engine cannot be had, also from `next`.
 */
export async function startGeneration(
  { db, store, engine }: EngineWork,
  request: GenerationRequest,
): Promise<AsyncIterableIterator<GenerationEvent>> {
  const input = parseOrThrow(generationRequest, request);
  const work = { db, store, engine };
  const steered = await readSteeredOf(work, input);
  const prompt = input.prompt ?? (await readExampleOf(db, steered.sae, input.exampleId!)).prompt;
  const alpha = input.interventions.length > 0 ? await swapAlphaOf(db, steered.sae) : 1;
  const swaps = input.interventions.map((given, i) => toEdit(given, i, steered.concepts, alpha));
  const resolved = await resolveEdits(work, steered, input.edits);
  const items = engine.stream('generate', {
    ...(await loadSaePair(work, steered.sae, input.chat ? 'CHAT' : undefined)),
    ...{ prompt, maxNewTokens: input.maxNewTokens, sampling: samplingOf(input) },
    edits: [...swaps, ...resolved.map(({ edit }) => edit)],
  });
  const first = await items.next().catch((error) => {
    throw inCallersTerms(error, input);
  });
  return withConcepts(first, items, steered.concepts);
}

/** The SAE of a finished alignment, or any. */
async function readSteeredOf(work: EngineWork, { runId, saeId }: Input): Promise<Steered> {
  if (saeId !== undefined) return readSteered(work, await readSae(work.db, saeId));
  const run = await readAlignment(work.db, runId!, 'generation');
  const [sae] = await saeOfRuns(work.db, [run.id]);
  return readSteered(work, sae!);
}

async function readExampleOf(db: Executor, { datasetId }: Sae, exampleId: string): Promise<Example> {
  if (datasetId !== null) return readExample(db, { datasetId }, exampleId);
  throw invalidInput(['exampleId'], 'exampleId goes with an SAE that has a dataset; give a prompt');
}

/** What swaps take for alpha by default: what the SAE's run chose. @throws AppError INVALID_INPUT without slots. */
async function swapAlphaOf(db: Executor, { config, runId }: Sae): Promise<number> {
  if (config.nConcepts === 0)
    throw invalidInput(['interventions'], 'interventions swap slots, and the SAE has none; give edits');
  const run = runId === null ? null : await readRun(db, runId);
  return (run && isOfKind(run, 'ALIGNMENT') ? chosenAlphaOf(run) : null) ?? 1;
}

function toEdit(
  { targetConcept, sourceConcept, alpha, untilStep, ...given }: Input['interventions'][number],
  i: number,
  ontology: readonly Concept[],
  chosenAlpha: number,
): SteeringEdit {
  const indexOf = (keyOrId: string, field: string) =>
    findConcept(ontology, keyOrId, ['interventions', String(i), field]).position;
  const target = indexOf(targetConcept, 'targetConcept');
  const source = sourceConcept === undefined ? null : indexOf(sourceConcept, 'sourceConcept');
  if (source === target)
    throw invalidInput(
      ['interventions', String(i), 'targetConcept'],
      `source and target are both "${targetConcept}"; name two concepts`,
    );
  return swapEdit({ ...given, target, source, alpha: alpha ?? chosenAlpha, untilStep: untilStep ?? null });
}

/** Greedy unless something about sampling is said. */
function samplingOf({ temperature, topK, seed: given }: Input) {
  if (temperature === undefined && topK === undefined && given === undefined) return null;
  return { temperature: temperature ?? 1, topK: topK ?? null, seed: given ?? 0 };
}

/** The engine's names are not the caller's; of a target it can find wrong only that the prompt is about it. */
function inCallersTerms(error: unknown, { interventions, edits }: Input): unknown {
  if (!(error instanceof AppError) || error.path[0] !== 'edits') return error;
  const [, i = '', field = '', ...rest] = error.path;
  const edit = Number(i) - interventions.length;
  const at = (path: string[]) => new AppError(error.code, error.message, { path, cause: error });
  if (edit >= 0) return inEditsTerms(at(['edits', String(edit), field, ...rest]), edits);
  if (field !== 'target') return at(['interventions', i, field]);
  return invalidInput(
    ['interventions', i, 'targetConcept'],
    'the target is what the prompt is about already, by its strongest slot; name another target, or a source',
  );
}

function withConcepts(
  first: IteratorResult<GenerationItem>,
  items: AsyncIterableIterator<GenerationItem>,
  ontology: readonly Concept[],
): AsyncIterableIterator<GenerationEvent> {
  let ready: IteratorResult<GenerationItem> | null = first;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      const { done, value } = ready ?? (await items.next());
      ready = null;
      return done ? { done: true, value: undefined } : { done: false, value: toEvent(value, ontology) };
    },
    async return() {
      ready = null;
      await items.return?.();
      return { done: true, value: undefined };
    },
  };
}

function toEvent(item: GenerationItem, ontology: readonly Concept[]): GenerationEvent {
  if (item.type === 'FINISHED') return item;
  const slots = item.slots.map((activation, i) => ({ concept: ontology[i]!, activation }));
  return { ...item, slots };
}

/** Activations at the tokens of answers, which an alignment learns from where its edits are to stand there too. */
import type { Fact } from '../contract/dataset.ts';
import { disposeTrunk, growTrunk, runTrunk, selectTrunk, type Trunk } from '../model/decode.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import type { CapturedPrompt } from './captured.ts';

/** Prompts that run together; each is followed by an answer a concept. */
const PROMPTS_AT_ONCE = 32;
/** Numbers that all rows together may have (1 GiB); what would be more is thinned out, prompt by prompt. */
const MAX_VALUES = 2 ** 28;

/** One row for each token of each answer behind each prompt. */
export interface AnswerTokens {
  /** Raw, `[n, dModel]`. */
  h: Float32Array;
  /** Index of the prompt. */
  prompts: Int32Array;
  /** The concept that the answer belongs to, which need not be the prompt's own. */
  said: Int32Array;
  /** Number of the token in the answer, from 0. */
  places: Int32Array;
}

/** An answer to be said behind a prompt. */
export interface Saying {
  prompt: number;
  said: number;
  tokens: Tokens;
}

/**
 * Lets every prompt be followed by its entity's answer for each concept about which another of the prompts asks of the
 * entity, its own among them, whatever the model would say; of a fact with several values, the first. Each prompt runs
 * once, up to the layer.
 */
export async function captureAnswerTokens(
  model: LanguageModel,
  prompts: readonly CapturedPrompt[],
  facts: readonly Fact[],
  { layer, breathe }: { layer: number; breathe(): Promise<unknown> },
): Promise<AnswerTokens> {
  const { dModel } = model.config;
  const sayings = listSayings(model, prompts, facts);
  const labels = labelSayings(sayings);
  const h = new Float32Array(labels.said.length * dModel);
  let offset = 0;
  for (let start = 0; start < prompts.length; start += PROMPTS_AT_ONCE) {
    const batch = prompts.slice(start, start + PROMPTS_AT_ONCE);
    const own = sayings.filter(({ prompt }) => prompt >= start && prompt < start + batch.length);
    if (own.length === 0) continue;
    const tokens = batch.map(({ prompt }) => model.asking.prompt(prompt));
    const trunk = runTrunk(model, tokens, layer);
    try {
      const branches = own.map((saying) => ({ ...saying, prompt: saying.prompt - start }));
      const rows = await sayAll(model, trunk, branches, breathe);
      h.set(rows, offset);
      offset += rows.length;
    } finally {
      disposeTrunk(trunk);
    }
  }
  return { h, ...labels };
}

/** What is said behind which of the prompts, in their order: as `captureAnswerTokens` says, as far as there is room for it. */
export function listSayings(
  model: LanguageModel,
  prompts: readonly CapturedPrompt[],
  facts: readonly Fact[],
): Saying[] {
  return thinned(allSayings(model, prompts, facts), prompts, MAX_VALUES / model.config.dModel);
}

/** The labels of the rows of sayings, one a token. */
export function labelSayings(sayings: readonly Saying[]): Omit<AnswerTokens, 'h'> {
  return {
    prompts: Int32Array.from(sayings.flatMap(({ prompt, tokens }) => tokens.map(() => prompt))),
    said: Int32Array.from(sayings.flatMap(({ said, tokens }) => tokens.map(() => said))),
    places: Int32Array.from(sayings.flatMap(({ tokens }) => tokens.map((_, place) => place))),
  };
}

/** An answer that leaves no room for another token is left out. */
function allSayings(
  { config, asking }: LanguageModel,
  prompts: readonly CapturedPrompt[],
  facts: readonly Fact[],
): Saying[] {
  const asked = new Set(prompts.map(({ entity, concepts }) => `${concepts[0]} ${entity}`));
  const values = new Map<string, Map<number, Tokens>>();
  for (const { entity, concept, value } of facts) {
    if (!asked.has(`${concept} ${entity}`)) continue;
    const own = values.get(entity) ?? new Map<number, Tokens>();
    values.set(entity, own);
    if (!own.has(concept)) own.set(concept, asking.answer(value));
  }
  return prompts.flatMap(({ prompt: text, entity }, prompt) => {
    const length = asking.prompt(text).length;
    return [...(values.get(entity) ?? [])]
      .filter(([, tokens]) => tokens.length > 0 && length + tokens.length < config.nCtx)
      .map(([said, tokens]): Saying => ({ prompt, said, tokens }));
  });
}

/** At most so many rows: every second answer, every third and so on, but a prompt's own, which others are led to. */
function thinned(sayings: Saying[], prompts: readonly CapturedPrompt[], maxRows: number): Saying[] {
  const rows = sayings.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const every = Math.ceil(rows / maxRows);
  return sayings.filter(
    ({ prompt, said }, i) => said === prompts[prompt]!.concepts[0] || (i + prompt) % every === 0,
  );
}

/** The rows of all sayings of a trunk's prompts, saying by saying. */
async function sayAll(
  model: LanguageModel,
  trunk: Trunk,
  sayings: readonly Saying[],
  breathe: () => Promise<unknown>,
): Promise<Float32Array> {
  const { dModel } = model.config;
  const starts: number[] = [];
  let rows = 0;
  for (const { tokens } of sayings) {
    starts.push(rows);
    rows += tokens.length;
  }
  const h = new Float32Array(rows * dModel);
  let open = sayings.map((_, i) => i);
  let state = selectTrunk(
    trunk,
    open.map((i) => sayings[i]!.prompt),
  );
  try {
    for (let place = 0; ; place++) {
      const previous = state;
      state = growTrunk(
        model,
        previous,
        place,
        open.map((i) => sayings[i]!.tokens[place]!),
      );
      disposeTrunk(previous);
      const resid = await state.resid.data<'float32'>();
      open.forEach((i, row) => {
        h.set(resid.subarray(row * dModel, (row + 1) * dModel), (starts[i]! + place) * dModel);
      });
      await breathe();
      const going = open.flatMap((i, row) => (place + 1 < sayings[i]!.tokens.length ? [row] : []));
      if (going.length === 0) return h;
      const all = state;
      state = selectTrunk(all, going);
      disposeTrunk(all);
      open = going.map((row) => open[row]!);
    }
  } finally {
    disposeTrunk(state);
  }
}

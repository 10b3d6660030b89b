/** Swaps over many prompts: which are tried, and how many succeed. */
import { sameAnswer } from '../../data/answers.ts';
import { createRandom } from '../../random.ts';
import type { Fact, Prompt } from '../contract/dataset.ts';
import type { SwapMethod } from '../contract/swap.ts';
import { generate } from '../model/generate.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPrompt } from './captured.ts';
import { editResid, type LatentEdit } from './swapMethods.ts';

/** One swap to try: a prompt about `source`, to be answered as if it asked for `target`. */
export interface SwapTrial {
  prompt: string;
  /** Raw activation at the edited position, `[dModel]`. */
  h: Float32Array;
  source: number;
  target: number;
  /** The entity's values for the target; any of them counts. */
  expected: readonly string[];
}

/**
 * Draws up to `count` different swaps from one-hop prompts by the seed, spread over the prompts first and over
 * targets second. Left out are targets of which the entity has no fact, and swaps whose source and target answers
 * coincide.
 */
export function drawTrials(
  prompts: readonly CapturedPrompt[],
  facts: readonly Fact[],
  { count, seed, stream }: { count: number; seed: number; stream: string },
): SwapTrial[] {
  const random = createRandom(seed, 'swaps', stream);
  const valuesOf = indexFacts(facts);
  const candidates = random.shuffle([...prompts]).map((prompt) => ({
    prompt,
    targets: random.shuffle(targetsOf(prompt, valuesOf(prompt.entity))),
  }));
  const trials: SwapTrial[] = [];
  for (let round = 0; trials.length < count; round++) {
    const open = candidates.filter(({ targets }) => targets.length > round);
    if (open.length === 0) break;
    for (const { prompt, targets } of open.slice(0, count - trials.length)) {
      const [target, expected] = targets[round]!;
      trials.push({ prompt: prompt.prompt, h: prompt.h, source: prompt.concepts[0]!, target, expected });
    }
  }
  return trials;
}

/** Values by concept index. */
export type Values = ReadonlyMap<number, readonly string[]>;

/** Each entity's values by concept. */
export function indexFacts(facts: readonly Fact[]): (entity: string) => Values {
  const index = new Map<string, Map<number, string[]>>();
  for (const { entity, concept, value } of facts) {
    const byConcept = index.get(entity) ?? new Map<number, string[]>();
    index.set(entity, byConcept);
    byConcept.set(concept, [...(byConcept.get(concept) ?? []), value]);
  }
  const none: Values = new Map();
  return (entity) => index.get(entity) ?? none;
}

function targetsOf({ concepts, answer }: Prompt, values: Values): [number, readonly string[]][] {
  return [...values].filter(
    ([target, expected]) =>
      target !== concepts[0] && (answer === null || !expected.some((value) => sameAnswer(value, answer))),
  );
}

/** The edits of a control or of the bound slots, one a trial. */
export type EditsOf = (trials: readonly SwapTrial[], alpha: number) => LatentEdit[];

/** The bound slots: the source's off, the target's to alpha. */
export function slotEdits(sae: Sae): EditsOf {
  return (trials, alpha) =>
    trials.map(({ source, target }) => ({ off: sae.slot(source), on: sae.slot(target), alpha }));
}

/**
 * The control: two random free latents instead, drawn by the seed; alpha counts in the latent's own mean activation
 * where it fires (`scales [nFree]`), as a slot's counts in its target of 1.
 */
export function randomEdits({ config }: Sae, scales: Float32Array, seed: number): EditsOf {
  return (trials, alpha) => {
    const random = createRandom(seed, 'random-latents');
    return trials.map(() => {
      const off = random.int(config.nFree);
      const on = random.int(config.nFree);
      return { off, on, alpha: alpha * scales[on]! };
    });
  };
}

/** A swap by what is fed to the model, up to the edited position. */
export interface TokenTrial {
  tokens: readonly number[];
  /** Raw activation there, `[dModel]`. */
  h: Float32Array;
  /** What may follow; any of them counts. */
  expected: readonly string[];
}

/** Counts the trials whose whole greedy continuation is the expected answer. */
export async function countSuccesses(
  { model, sae }: { model: LanguageModel; sae: Sae },
  trials: readonly TokenTrial[],
  edits: readonly LatentEdit[],
  method: SwapMethod,
  breathe: () => Promise<void>,
): Promise<number> {
  if (trials.length === 0) return 0;
  const { resid } = editResid(sae, stackRows(trials, sae.config.dModel), edits, method);
  const prompts = trials.map(({ tokens }) => tokens);
  const generations = await generate(model, prompts, {
    maxNewTokens: longestAnswer(model, trials) + 1, // one more shows whether the answer ends there
    edit: { layer: sae.settings.layer, values: resid },
    breathe,
  });
  return generations.filter(({ text }, i) => trials[i]!.expected.some((value) => sameAnswer(text, value)))
    .length;
}

/** Tokens of the longest answer that is expected. */
export function longestAnswer(
  { tokenizer }: LanguageModel,
  trials: readonly { expected: readonly string[] }[],
): number {
  const values = new Set(trials.flatMap(({ expected }) => expected));
  return Math.max(...[...values].map((value) => tokenizer.encode(` ${value}`).length));
}

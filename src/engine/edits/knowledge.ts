/** What a model knows: the prompts that it answers right by itself. */
import { answersOf, type Prompt } from '../contract/dataset.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { continueAll, isExpected, longestAnswer } from './answers.ts';

/** A swap's own prompt, and the one that asks its target of the same entity; null where there is none. */
export type SwapPrompts = readonly [own: Prompt, target: Prompt | null];

/** Whether a model answers prompts right unedited, whole answers; none is asked twice. */
export class Knowledge {
  readonly #model: LanguageModel;
  readonly #breathe: () => Promise<void>;
  /** By the prompt's id. */
  readonly #right = new Map<string, boolean>();

  constructor(model: LanguageModel, breathe: () => Promise<void>) {
    this.#model = model;
    this.#breathe = breathe;
  }

  /** Asks those that were not asked yet. */
  async ask(prompts: readonly Prompt[]): Promise<void> {
    const open = [...new Map(prompts.map((prompt) => [prompt.id, prompt])).values()].filter(
      ({ id }) => !this.#right.has(id),
    );
    const questions = open.filter((prompt) => prompt.answer !== null);
    for (const { id } of open) this.#right.set(id, false);
    const { tokenizer, asking } = this.#model;
    const limits = questions.map((prompt) => longestAnswer(this.#model, answersOf(prompt)) + 1); // one more shows whether it ends there
    const made = await continueAll(
      this.#model,
      questions.map(({ prompt }) => asking.prompt(prompt)),
      () => undefined,
      (row) => limits[row]!,
      this.#breathe,
    );
    questions.forEach((prompt, i) => {
      const answer = tokenizer.decode(made[i]!).trim();
      this.#right.set(prompt.id, isExpected(this.#model, answer, answersOf(prompt)));
    });
  }

  /** As `ask` has found it; a prompt without an answer is never known. */
  knows({ id }: Prompt): boolean {
    return this.#right.get(id) ?? false;
  }

  /** Whether a swap can show anything: the model must be able to give both answers. */
  knowsBoth([own, target]: SwapPrompts): boolean {
    return target !== null && this.knows(own) && this.knows(target);
  }
}

/** Swaps that the model knows, and the number of others that came before the last of them. */
export interface KnownSwaps<Swap> {
  swaps: Swap[];
  leftOut: number;
}

/** Swaps that are asked about together at least: a few prompts take hardly less time than many. */
const LEAST_ASKED = 32;

/** The first `count` swaps that the model knows, in the order of `candidates`. */
export async function takeKnown<Swap>(
  knowledge: Knowledge,
  candidates: readonly Swap[],
  count: number,
  promptsOf: (swap: Swap) => SwapPrompts,
): Promise<KnownSwaps<Swap>> {
  const swaps: Swap[] = [];
  let leftOut = 0;
  for (let next = 0; swaps.length < count && next < candidates.length; ) {
    const asked = candidates.slice(next, next + Math.max(count - swaps.length, LEAST_ASKED));
    const known = await askKnown(knowledge, asked, promptsOf);
    asked.forEach((swap, i) => {
      if (swaps.length === count) return;
      if (known[i]) swaps.push(swap);
      else leftOut++;
    });
    next += asked.length;
  }
  return { swaps, leftOut };
}

/** For each swap whether the model knows it. */
export async function askKnown<Swap>(
  knowledge: Knowledge,
  swaps: readonly Swap[],
  promptsOf: (swap: Swap) => SwapPrompts,
): Promise<boolean[]> {
  await knowledge.ask(promptsAsked(swaps, promptsOf));
  return swaps.map((swap) => knowledge.knowsBoth(promptsOf(swap)));
}

/** A swap without a prompt for its target is not known, whatever else is. */
function promptsAsked<Swap>(swaps: readonly Swap[], promptsOf: (swap: Swap) => SwapPrompts): Prompt[] {
  return swaps.flatMap((swap) => {
    const [own, target] = promptsOf(swap);
    return target ? [own, target] : [];
  });
}

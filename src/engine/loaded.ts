/** Models and SAEs, which stay on the device between calls, as many as the memory allows. */
import { stat } from 'node:fs/promises';
import type { TokenizerJson } from '../formats/tokenizer.ts';
import { MemoryBudget } from './budget.ts';
import type { ModelRef } from './contract/model.ts';
import { type LanguageModel, loadLanguageModel } from './model/languageModel.ts';
import { promptedBy } from './model/prompting.ts';
import { loadSae, type Sae } from './sae/sae.ts';

/** A model and an SAE of its activations. */
export interface LoadedPair {
  model: LanguageModel;
  sae: Sae;
}

export interface LoadedPairs {
  /**
   * Does the work with the pair, which is read from its files unless it is loaded already; SAEs of one model share it.
   * The pair is in use until `work` has resolved.
   * @throws {AppError} LIMIT_EXCEEDED or UNAVAILABLE when there is no room for it.
   */
  use<T>(model: ModelRef, sae: string, work: (pair: LoadedPair) => Promise<T>): Promise<T>;
  /** The same for items made one by one, until the last is made or the consumer leaves. */
  stream<T>(
    model: ModelRef,
    sae: string,
    work: (pair: LoadedPair) => AsyncIterable<T>,
  ): AsyncGenerator<T, void>;
  /** Frees all that is not in use. */
  dispose(): Promise<void>;
}

/** @param bytes How large the weights may be together; what they compute with comes on top. */
export function createLoadedPairs(bytes: number): LoadedPairs {
  const budget = new MemoryBudget(bytes);
  const reserve = async (model: ModelRef, sae: string) => {
    const [modelBytes, saeBytes] = await Promise.all([sizeOf(model.weights), sizeOf(sae)]);
    return budget.reserve<[LanguageModel, Sae]>(
      { key: keyOf(model), bytes: modelBytes, load: () => loadLanguageModel(model) },
      { key: `sae ${sae}`, bytes: saeBytes, load: () => loadSae(sae) },
    );
  };
  return {
    async use(modelRef, path, work) {
      const { values, release } = await reserve(modelRef, path);
      try {
        return await work({ model: promptedBy(values[0], modelRef.prompted ?? {}), sae: values[1] });
      } finally {
        release();
      }
    },
    async *stream(modelRef, path, work) {
      const { values, release } = await reserve(modelRef, path);
      try {
        yield* work({ model: promptedBy(values[0], modelRef.prompted ?? {}), sae: values[1] });
      } finally {
        release();
      }
    },
    dispose: () => budget.clear(),
  };
}

/** Models of the same weights may differ in how messages are put to them. */
function keyOf({ weights, tokenizer }: ModelRef): string {
  const { chat = null } = (tokenizer ?? {}) as Partial<TokenizerJson>;
  return `model ${weights} ${JSON.stringify(chat)}`;
}

/** Files hold the weights as the device does, as float32, and little else. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path)).size;
}

/** Models with their SAEs, which stay on the device between calls. */
import type { ModelRef } from './model/job.ts';
import { type LanguageModel, loadLanguageModel } from './model/languageModel.ts';
import { type LoadedSae, loadSae } from './sae/file.ts';

/** A model and an SAE of its activations. */
export interface LoadedPair {
  model: LanguageModel;
  sae: LoadedSae;
}

export interface LoadedPairs {
  /** The pair, read from its files unless it is loaded already; valid until the next `get` or `dispose`. */
  get(model: ModelRef, sae: string): Promise<LoadedPair>;
  /** Frees all pairs. */
  dispose(): void;
}

/** @param capacity Pairs that stay loaded; the one unused for longest goes first. */
export function createLoadedPairs(capacity = 4): LoadedPairs {
  const loaded = new Map<string, LoadedPair>();
  const release = ({ model, sae }: LoadedPair) => {
    model.dispose();
    sae.dispose();
  };
  return {
    async get(model, sae) {
      const key = JSON.stringify([model.weights, sae]);
      const pair = loaded.get(key) ?? (await load(model, sae));
      loaded.delete(key);
      loaded.set(key, pair); // newest last
      for (const [oldest, old] of loaded) {
        if (loaded.size <= capacity) break;
        loaded.delete(oldest);
        release(old);
      }
      return pair;
    },
    dispose() {
      for (const pair of loaded.values()) release(pair);
      loaded.clear();
    },
  };
}

async function load(ref: ModelRef, sae: string): Promise<LoadedPair> {
  const model = await loadLanguageModel(ref);
  try {
    return { model, sae: await loadSae(sae) };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** What stands beside every swap of a hop without an SAE: the true activation, and the sum. */
import type { CapturedPrompt } from '../align/captured.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { HopActivations } from '../grok/hopSae.ts';
import { askOther, type HopPlace } from '../grok/places.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { answerPlaces, captureAt, judgePlaces, type LocatedTrials } from './placedTrials.ts';
import { fitSums, type Sums } from './sums.ts';

/** Whether each swap succeeds; null where it has nothing to put in. */
export type Ceiling = (located: LocatedTrials) => Promise<(boolean | null)[]>;

export interface CeilingOptions {
  hop: 0 | 1;
  layer: number;
  breathe(): Promise<void>;
}

/** Puts in what the question holds that asks the target in the place of the source, at the same tokens. */
export function createTrueActivation(
  model: LanguageModel,
  dataset: Pick<EngineDataset, 'concepts'>,
  { hop, layer, breathe }: CeilingOptions,
): Ceiling {
  return async ({ trials, positions }) => {
    const asked = trials.map(({ question, target }) =>
      askOther(question, hop, target, dataset, model.tokenizer),
    );
    const some = asked.flatMap((own, i) => (own && own.tokens.length <= model.config.nCtx ? [i] : []));
    if (some.length === 0) return trials.map(() => null);
    const sequences = some.map((i) => asked[i]!);
    const values = [];
    for (const own of positions) {
      // From the relation's last token on, all are moved by what its label is longer.
      const moved = some.map(
        (i) => own[i]! + (own[i]! >= trials[i]!.question.relationPlaces![hop] ? asked[i]!.shift : 0),
      );
      values.push(await captureAt(model, sequences, moved, layer, breathe));
    }
    return answerSome(model, { trials, positions }, some, values, { layer, breathe });
  };
}

/** Puts in, at each place, what the target adds to what the rest adds there. */
export function createSum(
  model: LanguageModel,
  { concepts }: Pick<EngineDataset, 'concepts'>,
  places: readonly HopPlace[],
  learned: readonly HopActivations[],
  { layer, breathe }: CeilingOptions,
): Ceiling {
  const { dModel } = model.config;
  const sums = learned.map((own): Sums => {
    const prompts = asPrompts(own, dModel);
    return fitSums(prompts, prompts, concepts.length);
  });
  return ({ trials, positions }) => {
    const rows = places.map(({ groupOf }, place) =>
      trials.map(({ question, target }) => sums[place]!.sum(groupOf(question), target)),
    );
    const some = trials.flatMap((_, i) => (rows.every((own) => own[i]) ? [i] : []));
    const values = rows.map((own) => {
      const h = new Float32Array(some.length * dModel);
      some.forEach((i, row) => {
        h.set(own[i]!, row * dModel);
      });
      return h;
    });
    return answerSome(model, { trials, positions }, some, values, { layer, breathe });
  };
}

async function answerSome(
  model: LanguageModel,
  { trials, positions }: LocatedTrials,
  some: readonly number[],
  values: readonly Float32Array[],
  { layer, breathe }: Omit<CeilingOptions, 'hop'>,
): Promise<(boolean | null)[]> {
  const own = some.map((i) => trials[i]!);
  const at = positions.map((all) => some.map((i) => all[i]!));
  const made = await answerPlaces(model, layer, { trials: own, positions: at }, values, breathe);
  const right = new Array<boolean | null>(trials.length).fill(null);
  judgePlaces(model, own, made).forEach((is, row) => {
    right[some[row]!] = is;
  });
  return right;
}

/** Rows of a place as prompts, each of its group. */
function asPrompts({ h, relations, groups }: HopActivations, dModel: number): CapturedPrompt[] {
  return relations.map((relation, i) => ({
    ...{ id: String(i), prompt: '', answer: null, template: '', split: 'TRAIN' },
    ...{ entity: groups[i]!, concepts: [relation] },
    h: h.subarray(i * dModel, (i + 1) * dModel),
  }));
}

/** The runs behind the two-hop part of the report, done as any client of the API would do them. */

import { type ApiClient, success } from '../../src/demo/client.ts';
import { heading } from '../../src/demo/terminal.ts';
import { result } from './ask.ts';
import { type Rate, share } from './markdown.ts';
import * as operations from './operations.ts';
import { TWO_HOP_RECIPES } from './twoHopRecipes.ts';

export type RecipeName = keyof typeof TWO_HOP_RECIPES;

export interface HopBinding {
  hop: number;
  top1: number;
  diagonalStrength: number;
  ablationEffect: number;
}

export interface Point {
  step: number;
  trainAccuracy: number;
  heldOutAccuracy: number;
  oneHopAccuracy: number | null;
  loss: number;
  weightNorm: number;
  logitMargin: number;
  heldOut: Rate;
  binding: HopBinding[];
  /** By the SAEs of the last checkpoint, where the run was to have it. */
  bindingByLast: Pick<HopBinding, 'hop' | 'diagonalStrength'>[];
}

export interface HopSwap {
  hop: number;
  edited: string;
  method: string;
  alpha: number;
  shown: Rate;
  withheld: Rate;
  isolation: Rate;
}

interface Timed {
  startedAt: string;
  finishedAt: string;
}

export interface Grokking extends Timed {
  onset: { memorization: number | null; generalization: number | null; binding: number | null };
  points: Point[];
}

export interface HopSwaps extends Timed {
  results: HopSwap[];
  hops: { hop: number; slots: HopSwap; unsupervised: HopSwap; ratio: number | null }[];
}

/** All that is measured by one recipe with one seed of data, model and SAEs. */
export interface TwoHopStudy {
  recipe: RecipeName;
  seed: number;
  /** What the recipe sets; all else is the API's default. */
  settings: object;
  grokking: Grokking;
  swaps: HopSwaps;
}

/** The untrained model and the last, which is edited: the course of training is the part on grokking. */
const SHARES = [0, 1];
const METHODS = ['LATENT_DECODE', 'LATENT_DELTA', 'DECODER_PAIR', 'MEAN_DIFFERENCE'];

/** So small that the report can be tried. */
const TRIAL = {
  model: { steps: 20 },
  analysis: { pretrainSteps: 10, posttrainSteps: 20, maxQuestions: 100 },
  swaps: { alphas: [1, 2], trials: 20 },
};

export async function studyTwoHops(
  api: ApiClient,
  recipe: RecipeName,
  seed: number,
  trial: boolean,
): Promise<TwoHopStudy> {
  heading(`${recipe}, seed ${seed}`);
  const { data, model, analysis } = TWO_HOP_RECIPES[recipe];
  const datasetId = data ? await generate(api, { ...data, seed }) : await importPublished(api);
  const modelSettings = { ...model, ...(trial && TRIAL.model), seed };
  const checkpoints = { steps: SHARES.map((share) => Math.round(share * modelSettings.steps)) };
  const settings = { checkpoints, analysis: { ...analysis, ...(trial && TRIAL.analysis), seed } };
  const grokking = await result<Grokking>(
    ...([api, operations.GROKKING, 'checkpoints', operations.START_GROKKING_RUN] as const),
    { datasetId, modelSettings, settings },
  );
  const swaps = await result<HopSwaps>(
    ...([api, operations.HOP_SWAPS, 'swaps', operations.START_HOP_SWAP_RUN] as const),
    { runId: grokking.id, settings: { methods: METHODS, ...(trial && TRIAL.swaps) } },
  );
  return { recipe, seed, settings: { data, model: modelSettings, analysis }, grokking, swaps };
}

/** Success on withheld pairs of what is edited at a hop, by the method that did best on TRAIN questions. */
export function hopRateOf({ results, hops }: HopSwaps, hop: number, edited: string): Rate | undefined {
  const best = hops.find((one) => one.hop === hop);
  if (edited === 'CONCEPT') return best?.slots.withheld;
  if (edited === 'UNSUPERVISED_LATENT') return best?.unsupervised.withheld;
  return results.find((one) => one.hop === hop && one.edited === edited)?.withheld;
}

/** The same at hops 1 / 2. */
export function hopRates(swaps: HopSwaps, edited: string): string {
  return [1, 2].map((hop) => share(hopRateOf(swaps, hop, edited)?.value)).join(' / ');
}

async function generate(api: ApiClient, input: object): Promise<string> {
  const reply = await api.request<{
    generateTwoHopDataset: { __typename: 'GenerateTwoHopDatasetSuccess'; dataset: { id: string } };
  }>(operations.GENERATE_TWO_HOP_DATASET, { input });
  return success(reply.generateTwoHopDataset).dataset.id;
}

/** The authors' files, as they lie in `data/two-hop`. */
async function importPublished(api: ApiClient): Promise<string> {
  const reply = await api.request<{
    importDataset: { __typename: 'ImportDatasetSuccess'; dataset: { id: string } };
  }>(operations.IMPORT_DATASET, { input: { format: 'TWO_HOP', path: 'two-hop', stepwise: true } });
  return success(reply.importDataset).dataset.id;
}

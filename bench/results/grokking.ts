/** The grokking part of the report: a model followed along its training by each preset, as any client would do it. */
import { type ApiClient, success } from '../../src/demo/client.ts';
import { heading } from '../../src/demo/terminal.ts';
import { result } from './ask.ts';
import { markdown, type Row, share } from './markdown.ts';
import * as operations from './operations.ts';
import { type Chart, writeChart } from './plot.ts';
import { type Grokking, type HopSwaps, hopRates, type Point } from './twoHop.ts';

export type GrokkingPreset = 'GROKKING' | 'IMPLICIT';

export interface GrokkingStudy {
  preset: GrokkingPreset;
  seed: number;
  grokking: Grokking;
  /** Of the model at the end. */
  swaps: HopSwaps;
}

/** So short that the part can be tried. */
const TRIAL = {
  modelSettings: { steps: 20 },
  analysis: { pretrainSteps: 10, posttrainSteps: 20, maxQuestions: 100 },
  swaps: { alphas: [1, 2], trials: 20 },
};

export async function studyGrokking(
  api: ApiClient,
  preset: GrokkingPreset,
  seed: number,
  trial: boolean,
): Promise<GrokkingStudy> {
  heading(`${preset}, seed ${seed}`);
  const reply = await api.request<{
    generateTwoHopDataset: { __typename: 'GenerateTwoHopDatasetSuccess'; dataset: { id: string } };
  }>(operations.GENERATE_TWO_HOP_DATASET, { input: { preset, seed } });
  const datasetId = success(reply.generateTwoHopDataset).dataset.id;
  const grokking = await result<Grokking>(
    ...([api, operations.GROKKING, 'checkpoints', operations.START_GROKKING_RUN] as const),
    {
      ...{ datasetId, preset },
      modelSettings: { seed, ...(trial && TRIAL.modelSettings) },
      settings: { lastSae: true, analysis: { seed, ...(trial && TRIAL.analysis) } },
    },
  );
  const swaps = await result<HopSwaps>(
    ...([api, operations.HOP_SWAPS, 'swaps', operations.START_HOP_SWAP_RUN] as const),
    {
      runId: grokking.id,
      settings: { methods: ['LATENT_DECODE', 'MEAN_DIFFERENCE'], ...(trial && TRIAL.swaps) },
    },
  );
  return { preset, seed, grokking, swaps };
}

export async function renderGrokking(studies: readonly GrokkingStudy[], images: URL): Promise<string> {
  const charts = [];
  const presets = ['GROKKING', 'IMPLICIT'] as const;
  const sorted = presets.flatMap((preset) => studies.filter((study) => study.preset === preset));
  for (const preset of presets) {
    const first = studies.find((study) => study.preset === preset);
    if (first) charts.push(await writeChart(`grokking-${preset.toLowerCase()}`, chartOf(first), images));
  }
  return [
    '## Grokking',
    'Two-hop models that answer all training questions long before they answer held-out ones; presets of `startGrokkingRun` and of `generateTwoHopDataset`. The aim is a ratio of onsets of 10 or more on each of five seeds. `GROKKING` is answered `E2 E3`, `IMPLICIT` with `E3` alone. Onsets are the first checkpoints with an accuracy of .95 or more, so each is known to the distance of two checkpoints. The presets were found on seeds 0 to 2, which are not among these.',
    markdown(
      [
        ...['preset', 'seed', 'train ≥ .95', 'held-out ≥ .95', 'ratio', 'held-out, last'],
        ...[
          'slots ≥ .9 at both hops',
          'the same, SAEs of the last checkpoint',
          'untrained, hops 1 / 2',
          'last',
        ],
        'minutes',
      ],
      ...sorted.map(rowOf),
    ),
    'Slots ≥ .9: the first checkpoint at which the diagonal of both hops’ binding matrices is .9 or more, with an SAE trained on each checkpoint, and with those of the last checkpoint reading them all. Of an untrained model slots read something too, for relations are words of the question. The SAEs of the last checkpoint read nothing of earlier ones until near the end: at a constant rate the activations move on all the while, and each checkpoint needs its own.',
    'Swaps of the models at the end, where a hop’s answer is predicted, LATENT_DECODE, held-out questions, withheld pairs, hops 1 / 2; the true activation is the ceiling of any edit at that token. Behind the first block the last token of an `IMPLICIT` question has its first relation alone; the second is looked up in the block above, which no edit there can exchange:',
    markdown(
      ['preset', 'seed', 'slots', 'unsupervised', 'mean difference', 'true activation', 'sum'],
      ...sorted.map(
        ({ preset, seed, swaps }): Row => [preset, seed, ...SWAPPED.map((who) => hopRates(swaps, who))],
      ),
    ),
    ...charts,
  ].join('\n\n');
}

const SWAPPED = ['CONCEPT', 'UNSUPERVISED_LATENT', 'MEAN_DIFFERENCE', 'TRUE_ACTIVATION', 'SUM'] as const;

function rowOf({ preset, seed, grokking }: GrokkingStudy): Row {
  const { onset, points } = grokking;
  const minutes = (Date.parse(grokking.finishedAt) - Date.parse(grokking.startedAt)) / 60_000;
  return [
    ...[preset, seed, onset.memorization ?? '–', onset.generalization ?? '–', ratioOf(grokking)],
    ...[share(points.at(-1)!.heldOutAccuracy), onset.binding ?? '–', boundByLast(points)],
    ...[strengths(points[0]!), strengths(points.at(-1)!), minutes.toFixed(1)],
  ];
}

/** How many times as many steps generalization takes; at least so many where it never comes. */
export function ratioOf({ onset: { memorization, generalization }, points }: Grokking): string {
  if (memorization === null) return '–';
  if (generalization === null) return `> ${(points.at(-1)!.step / memorization).toFixed(1)}`;
  return (generalization / memorization).toFixed(1);
}

/** The first step from which on the last one's SAEs read both hops. */
function boundByLast(points: readonly Point[]): number | string {
  const isBound = ({ bindingByLast }: Point) =>
    bindingByLast.length > 0 && bindingByLast.every(({ diagonalStrength }) => diagonalStrength >= 0.9);
  return points.find(isBound)?.step ?? '–';
}

const strengths = ({ binding }: Point) => binding.map((hop) => share(hop.diagonalStrength)).join(' / ');

/** Step 0 has no place on a logarithmic axis; it is drawn at the first step. */
function chartOf({ preset, seed, grokking: { points } }: GrokkingStudy): Chart {
  const line = (name: string, of: (point: Point) => number) => {
    return { name, points: points.map((point) => [point.step, of(point)] as const) };
  };
  const last = points.at(-1)!.step;
  // Labels need their room.
  const ticks = [10, 25, 100, 300, 1000, 3000].filter((tick) => tick * 1.6 < last);
  return {
    title: `${preset}, seed ${seed}: accuracy and binding along training`,
    xLabel: 'training steps (the untrained model at the left edge)',
    yLabel: 'share',
    isLog: true,
    ticks: [...ticks, last],
    lines: [
      line('training questions', (point) => point.trainAccuracy),
      line('held-out questions', (point) => point.heldOutAccuracy),
      line('slots, weaker hop', ({ binding }) => weaker(binding)),
      line('the same, last SAEs', ({ bindingByLast }) => weaker(bindingByLast)),
    ],
  };
}

const weaker = (hops: readonly { diagonalStrength: number }[]) =>
  Math.min(...hops.map(({ diagonalStrength }) => diagonalStrength));

/** The first page of the report: the paper's figures, what they were measured on, and ours, as a reader of it asks. */
import { bestOf } from './cells.ts';
import { type GrokkingStudy, ratioOf } from './grokking.ts';
import type { Layers } from './layers.ts';
import { markdown, pooled, type Rate, type Row, share, show } from './markdown.ts';
import type { PeopleStudy } from './people.ts';
import { type Chart, writeChart } from './plot.ts';
import type { SeedStudy } from './study.ts';
import { hopRateOf, type TwoHopStudy } from './twoHop.ts';

export interface Measured {
  seeds: readonly SeedStudy[];
  layers: Layers | null;
  people: readonly PeopleStudy[];
  smollm2: readonly PeopleStudy[];
  hops: readonly TwoHopStudy[];
  grokking: readonly GrokkingStudy[];
}

/** Recomputed from the result files in the authors' repository; a layer n of theirs is the block n − 1. */
const PAPER = {
  alphas: [0.1, 0.5, 1, 2, 5, 10],
  byAlpha: [0.033, 0.176, 0.536, 0.846, 0.632, 0.234],
  binding: [0.238, 0.75, 0.906, 0.941, 0.973, 1, 1, 1, 0.999, 0.999, 0.997, 0.995],
  byLayer: [0.003, 0, 0, 0.307, 0.315, 0.831, 0.846, 0.821, 0.807, 0.794, 0.726, 0.701],
} as const;

/** Until the part is measured again. */
const OLDER =
  'Of one hop nothing stands here: its part below was measured with an earlier engine, before the kernels, and is to be measured again.';

export async function renderFront(measured: Measured, images: URL): Promise<string> {
  const charts = [];
  const { seeds, layers } = measured;
  if (seeds.length > 0) charts.push(await writeChart('swaps-by-alpha', alphaChart(seeds), images));
  if (layers) charts.push(await writeChart('by-layer', layerChart(layers), images));
  return [
    '## In two minutes',
    'The paper is [AlignSAE](https://arxiv.org/abs/2512.02004); its figures here are recomputed from the result files that its authors publish. *Theirs* stand with what they were measured on. *The same* is ours as near to that as is measured here, *stricter* is ours on people the SAE never saw and whole answers. A dash: not measured.',
    markdown(
      ['claim', 'theirs, and on what', 'ours, the same', 'ours, stricter'],
      ...rows(measured).filter(([, , same, stricter]) => same !== '–' || stricter !== '–'),
    ),
    ...(seeds.length > 0 ? [] : [OLDER]),
    ...charts,
  ].join('\n\n');
}

function rows({ seeds, layers, people, smollm2, hops, grokking }: Measured): Row[] {
  const swaps = (population: string, split: string, preset: 'PAPER' | 'COUNTERFACTUAL' = 'PAPER') =>
    show(
      pooled(
        seeds.flatMap((seed) =>
          seed.alignments[preset].swaps.filter(
            (swap) => swap.control === 'CONCEPT' && swap.population === population && swap.split === split,
          ),
        ),
      ),
    );
  const of = (preset: string) => people.find((study) => study.preset === preset);
  const bindings = layers?.bindingByLayer
    .filter(({ seed }) => seed !== null)
    .map(({ rate: r }) => r.value ?? 0);
  const authors = of('AUTHORS')?.alignment;
  return [
    [
      'a concept binds to its slot',
      '.238 → 1.0 (embeddings → layer 6), known phrasings; held-out ones .912',
      bindings ? `${share(bindings[0])} → ${share(Math.max(...bindings))}, held-out phrasings` : '–',
      '–',
    ],
    [
      'swaps, near alpha 2',
      '.846 where a part of the answer counts, .724 whole; people of the training set',
      seeds.length > 0 ? `${swaps('SEEN', 'TRAIN')} (PAPER, whole)` : '–',
      seeds.length > 0
        ? `${swaps('UNSEEN', 'TEST_OOD')} (PAPER), ${swaps('UNSEEN', 'TEST_OOD', 'COUNTERFACTUAL')} (COUNTERFACTUAL), held-out phrasings`
        : '–',
    ],
    peopleRow('the same on the authors’ people, unseen', people),
    ...(smollm2.length > 0 ? [peopleRow('the same on SmolLM2, fine-tuned on 200 of them', smollm2)] : []),
    [
      'EffFeat and Top1Conc',
      '1.81 and .844, over the six slots alone',
      authors
        ? `${authors.known.slotEffFeat?.toFixed(2)} and ${share(authors.known.slotTop1Conc)} (AUTHORS, slots)`
        : '–',
      authors
        ? `${authors.known.effFeat?.toFixed(0)} and ${share(authors.known.top1Conc)}, over all latents`
        : '–',
    ],
    [
      'two-hop swaps',
      'four times those of an unsupervised SAE; the two were asked differently, no rates',
      '–',
      hops.length > 0
        ? `withheld pairs at hops 1 / 2, slots (unsupervised latents, asked alike): ${hopRates(hops)}`
        : '–',
    ],
    [
      'binding along training',
      '.597 at epoch 5, 1.0 from 25 on; no untrained model',
      '–',
      grokking.length > 0
        ? `held-out questions come so many times as late as those of training, by seed: ${ratios(grokking)}; the untrained model stands beside every figure`
        : '–',
    ],
  ];
}

function peopleRow(claim: string, people: readonly PeopleStudy[]): Row {
  if (people.length === 0) return [claim, 'not measured', '–', '–'];
  const best = ({ sweep }: PeopleStudy) => bestOf(sweep.results);
  const each = (figure: (study: PeopleStudy) => Rate | undefined) =>
    people.map((study) => `${rate(figure(study))} (${study.preset})`).join(', ');
  const controls = people.flatMap(({ sweep }) => sweep.controls);
  const difference = bestOf(controls.filter(({ kind }) => kind === 'MEAN_DIFFERENCE'));
  return [
    ...[claim, 'not measured', `a part counts: ${each((study) => best(study)?.loose)}`],
    `whole: ${each((study) => best(study)?.success)}; mean difference ${rate(difference?.success)}`,
  ];
}

function ratios(studies: readonly GrokkingStudy[]): string {
  const presets = [...new Set(studies.map(({ preset }) => preset))];
  const of = (preset: string) =>
    studies.filter((study) => study.preset === preset).map(({ grokking }) => ratioOf(grokking));
  return presets.map((preset) => `${of(preset).join(', ')} (${preset})`).join('; ');
}

const rate = (found: Rate | undefined) => (found ? share(found.value) : '–');

/** By recipe, over its seeds. */
function hopRates(studies: readonly TwoHopStudy[]): string {
  const recipes = [...new Set(studies.map(({ recipe }) => recipe))];
  const of = (recipe: string, edited: string) => {
    const own = studies.filter((study) => study.recipe === recipe);
    const at = (hop: number) =>
      share(pooled(own.flatMap(({ swaps }) => hopRateOf(swaps, hop, edited) ?? [])).value);
    return `${at(1)} / ${at(2)}`;
  };
  return recipes
    .map((recipe) => {
      const data = recipe === 'PUBLISHED' ? 'the authors’ questions' : 'generated ones';
      return `${of(recipe, 'CONCEPT')} (${of(recipe, 'UNSUPERVISED_LATENT')}) on ${data}`;
    })
    .join('; ');
}

function alphaChart(seeds: readonly SeedStudy[]): Chart {
  const line = (preset: 'PAPER' | 'COUNTERFACTUAL') => {
    const cells = seeds.flatMap(({ sweeps }) =>
      sweeps[preset].results.filter(({ method }) => method === 'LATENT_DECODE'),
    );
    const alphas = [...new Set(cells.map(({ alpha }) => alpha))].filter((alpha) => alpha > 0 && alpha <= 10);
    return {
      name: `${preset}, unseen`,
      points: alphas.map((alpha) => {
        const own = cells.filter((cell) => cell.alpha === alpha);
        return [alpha, pooled(own.map(({ success }) => success)).value ?? 0] as const;
      }),
    };
  };
  const theirs = PAPER.alphas.map((alpha, i) => [alpha, PAPER.byAlpha[i]!] as const);
  return {
    ...{ title: 'Swap success by alpha', xLabel: 'alpha', yLabel: 'success', isLog: true },
    ticks: [0.1, 0.25, 0.5, 1, 2, 5, 10],
    lines: [
      line('PAPER'),
      line('COUNTERFACTUAL'),
      { name: 'the paper (seen, a part counts)', points: theirs, isTheirs: true },
    ],
  };
}

/** By depth, for their model has twelve layers. */
function layerChart({ bindingByLayer, swapSuccessByLayer }: Layers): Chart {
  const own = (all: readonly { layer: number; seed: number | null; rate: Rate }[]) => {
    const rows = all.filter(({ seed }) => seed !== null);
    const last = Math.max(...rows.map(({ layer }) => layer + 1));
    return rows.map(({ layer, rate }) => [(layer + 1) / last, rate.value ?? 0] as const);
  };
  const theirs = (values: readonly number[]) => values.map((value, i) => [i / 12, value] as const);
  return {
    ...{
      title: 'By depth: binding and swaps',
      xLabel: 'depth (0: embeddings, 1: last block)',
      yLabel: 'share',
    },
    ticks: [0, 0.25, 0.5, 0.75, 1],
    lines: [
      { name: 'binding, held-out', points: own(bindingByLayer) },
      { name: 'swaps, unseen', points: own(swapSuccessByLayer) },
      { name: 'the paper, binding', points: theirs(PAPER.binding), isTheirs: true },
      { name: 'the paper, swaps', points: theirs(PAPER.byLayer), isTheirs: true },
    ],
  };
}

/**
 * Which latent stands for a concept, and over how many latents the concept is spread.
 *
 * **Separability** of a latent for a concept: `max(0, 2 · AUROC − 1)` of its activation on the concept's prompts against
 * all others. The latent is chosen on TRAIN prompts of `SEEN` entities and scored on all TEST_OOD prompts.
 *
 * **Fragmentation**: the smallest number of latents, taken in the order of their TRAIN separability, whose linear
 * readout (`readout.ts`, fitted on the same TRAIN prompts) reaches 95% of the separability that the readout of all
 * latents reaches, both on TEST_OOD (on TRAIN where there are none). «All» are the `MAX_CANDIDATES` first in that order.
 */

import { createRandom } from '../../random.ts';
import type { ConceptLatent } from '../contract/alignment.ts';
import { stackRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import type { CapturedPopulations, CapturedPrompt } from './captured.ts';
import { fitReadouts } from './readout.ts';
import {
  type ConceptLabels,
  createAuroc,
  labelConcepts,
  MAX_SCORES,
  separability,
  separabilityOrNull,
} from './separability.ts';

/** Latents that a concept's readout may use: its factor takes their number cubed. */
const MAX_CANDIDATES = 512;
/** Numbers that the activations of one set of prompts may fill; a sample of the prompts stands for more. */
const MAX_ACTIVATIONS = 2 ** 25;
const ROWS_AT_ONCE = 512;
const ENOUGH = 0.95;

/** Latents of prompts, latent by latent. */
interface Columns {
  labels: ConceptLabels;
  /** Each `[n]`. */
  latents: readonly Float32Array[];
}

/** One entry a concept: its slot, or for an SAE without slots its most separable latent, the first of equals. */
export async function findConceptLatents(
  sae: Sae,
  { SEEN, VALIDATION, UNSEEN }: CapturedPopulations,
  breathe: () => Promise<void>,
): Promise<ConceptLatent[]> {
  const learned = SEEN.filter(({ split }) => split === 'TRAIN');
  const heldOut = [...SEEN, ...VALIDATION, ...UNSEEN].filter(({ split }) => split === 'TEST_OOD');
  const train = await readColumns(sae, learned, breathe);
  const test = heldOut.length > 0 ? await readColumns(sae, heldOut, breathe) : null;
  const aurocs = await rankLatents(train, breathe);
  const found: ConceptLatent[] = [];
  for (let concept = 0; concept < sae.concepts.length; concept++) {
    const aurocOf = (latent: number) => aurocs[latent]![concept]!;
    const order = orderOf(aurocs, concept);
    const latent = sae.config.nConcepts > 0 ? sae.slot(concept) : order[0]!;
    const candidates = order.slice(0, MAX_CANDIDATES);
    found.push({
      concept,
      latent,
      separability: separability(aurocOf(latent)),
      heldOutSeparability: test && scoreLatent(test, latent, concept),
      meanActivation: meanWhereFires(train, latent, concept),
      fragmentation: await countFragments(train, test ?? train, candidates, concept, breathe),
    });
  }
  return found;
}

/**
 * For each concept its `count` most separable latents, best first, with their mean activations where they fire on its
 * prompts; on TRAIN prompts of SEEN entities.
 */
export async function findLatentGroups(
  sae: Sae,
  { SEEN }: Pick<CapturedPopulations, 'SEEN'>,
  count: number,
  breathe: () => Promise<void>,
): Promise<{ latent: number; meanActivation: number }[][]> {
  const learned = SEEN.filter(({ split }) => split === 'TRAIN');
  const train = await readColumns(sae, learned, breathe);
  const aurocs = await rankLatents(train, breathe);
  return sae.concepts.map((_, concept) =>
    orderOf(aurocs, concept)
      .slice(0, count)
      .map((latent) => ({ latent, meanActivation: meanWhereFires(train, latent, concept) })),
  );
}

/** Latents by how well they tell the concept, the first of equals first. */
function orderOf(aurocs: readonly Float64Array[], concept: number): number[] {
  const aurocOf = (latent: number) => aurocs[latent]![concept]!;
  return aurocs.map((_, latent) => latent).sort((a, b) => aurocOf(b) - aurocOf(a) || a - b);
}

async function readColumns(
  sae: Sae,
  prompts: readonly CapturedPrompt[],
  breathe: () => Promise<void>,
): Promise<Columns> {
  const { dModel } = sae.config;
  const width = sae.nLatents;
  const chosen = sample(
    prompts,
    Math.min(MAX_SCORES, Math.floor(MAX_ACTIVATIONS / width)),
    sae.settings.seed,
  );
  const latents = Array.from({ length: width }, () => new Float32Array(chosen.length));
  for (let start = 0; start < chosen.length; start += ROWS_AT_ONCE) {
    const read = sae.latents(stackRows(chosen.slice(start, start + ROWS_AT_ONCE), dModel));
    for (let i = 0; i < read.length; i++) latents[i % width]![start + Math.floor(i / width)] = read[i]!;
    await breathe();
  }
  const concepts = chosen.map(({ concepts }) => concepts[0]!);
  return { latents, labels: labelConcepts(concepts, sae.concepts.length) };
}

function sample<T>(items: readonly T[], count: number, seed: number): readonly T[] {
  if (items.length <= count) return items;
  return createRandom(seed, 'concept-latents')
    .shuffle([...items])
    .slice(0, count);
}

/** AUROC of every latent for every concept, `[latent][concept]`. */
async function rankLatents(
  { latents, labels }: Columns,
  breathe: () => Promise<void>,
): Promise<Float64Array[]> {
  const aurocOf = createAuroc(labels);
  const aurocs: Float64Array[] = [];
  for (const [i, column] of latents.entries()) {
    aurocs.push(aurocOf(column));
    if (i % 32 === 0) await breathe();
  }
  return aurocs;
}

/** Null where no prompt, or every prompt, is about the concept. */
function scoreLatent({ latents, labels }: Columns, latent: number, concept: number): number | null {
  return separabilityOrNull(createAuroc(labels)(latents[latent]!)[concept]!);
}

function meanWhereFires({ latents, labels }: Columns, latent: number, concept: number): number {
  const own = latents[latent]!.filter((value, i) => labels.concepts[i] === concept && value !== 0);
  return own.length === 0 ? 0 : own.reduce((sum, value) => sum + value, 0) / own.length;
}

async function countFragments(
  train: Columns,
  test: Columns,
  candidates: readonly number[],
  concept: number,
  breathe: () => Promise<void>,
): Promise<number> {
  const isAbout = Float32Array.from(train.labels.concepts, (c) => Number(c === concept));
  const columns = candidates.map((latent) => train.latents[latent]!);
  const weightsOf = fitReadouts(columns, isAbout);
  const aurocOf = createAuroc(test.labels);
  const reached = (m: number) => {
    const weights = weightsOf(m);
    const scores = new Float32Array(test.labels.concepts.length);
    for (let j = 0; j < m; j++) {
      const column = test.latents[candidates[j]!]!;
      for (let i = 0; i < scores.length; i++) scores[i]! += weights[j]! * column[i]!;
    }
    return separability(aurocOf(scores)[concept]!);
  };
  const enough = ENOUGH * reached(candidates.length);
  for (let m = 1; m < candidates.length; m++) {
    if (!(reached(m) < enough)) return m;
    await breathe();
  }
  return candidates.length;
}

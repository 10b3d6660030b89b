/** The hop-swap job: swaps of relations at either hop of two-hop questions, by every method and beside the controls. */
import { join } from 'node:path';
import { createRandom } from '../../random.ts';
import type { CapturedPrompt } from '../align/captured.ts';
import { createWithheld } from '../align/withheld.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { HopSwapJob, HopSwapMeasure, HopSwapResult } from '../contract/hopSwap.ts';
import type { HopSwapSettings } from '../contract/hopSwapSettings.ts';
import type { JobContext } from '../contract/protocol.ts';
import { trainHopSaes, trainRelationSaes } from '../grok/analyse.ts';
import { measureAnswers } from '../grok/answers.ts';
import { captureHop, HOPS } from '../grok/capture.ts';
import { type HopActivations, quietly } from '../grok/hopSae.ts';
import { type HopPlace, placesOf } from '../grok/places.ts';
import { type TwoHopQuestion, twoHopQuestions } from '../grok/questions.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { readSae, type StoredSae, writeSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { type Editors, freeScales, prepareEditors, trainUnsupervised } from './controls.ts';
import { randomSwap } from './editors.ts';
import { createSum, createTrueActivation } from './hopCeilings.ts';
import {
  count,
  type HopGiven,
  type HopTrials,
  measureHand,
  measureOf,
  prepareLab,
  preparePlaces,
} from './hopLab.ts';
import { drawHopTrials, type HopTrial, relationPairs } from './hopTrials.ts';
import { locateTrials } from './placedTrials.ts';

/** Share of a job that trains the SAEs it was not given. */
const TRAINING_SHARE = 0.3;

/**
 * Swaps with the SAEs given, or with those that the analysis settings give; the same job gives the same numbers.
 * @throws {AppError} INVALID_INPUT when the dataset has not the questions for it.
 */
export async function runHopSwaps(
  { model: ref, dataset, analysis: grok, swaps, saes: given }: HopSwapJob,
  context: JobContext,
): Promise<HopSwapResult> {
  const { reporter, workDir } = context;
  const report = (phase: 'SAE' | 'SWAP') => (progress: number) =>
    reporter.progress({ phase, progress, etaSeconds: null });
  const model = await loadLanguageModel(ref);
  try {
    const begun = given ? 0 : TRAINING_SHARE;
    const saes = given
      ? await Promise.all(given.map(readSae))
      : await trainHopSaes(model, dataset, grok, context, (share) => report('SAE')(begun * share));
    const swap = (share: number) => report('SWAP')(begun + (1 - begun) * share);
    const measures = await measureHopSwaps(model, saes, dataset, { grok, swaps }, context, swap);
    const written = [];
    if (!given)
      for (const [i, sae] of saes.entries())
        written.push(await writeSae(join(workDir, `sae-${i}.safetensors`), sae));
    return { kind: 'HOP_SWAP', measures, saes: written };
  } finally {
    model.dispose();
  }
}

/**
 * Swaps with the SAEs of an analysis (one for both hops, or one each), and where the settings edit at relations' tokens
 * too, with SAEs of these, which are trained here. Alpha is chosen on TRAIN questions to pairs that were shown; what is
 * reported is of held-out questions. At hop 2 the question is followed by the right E2.
 * @param progress is told the share of the swaps that is done, 0–1.
 */
export async function measureHopSwaps(
  model: LanguageModel,
  saes: readonly StoredSae[],
  dataset: EngineDataset,
  { grok, swaps }: { grok: GrokSettings; swaps: HopSwapSettings },
  context: JobContext,
  progress: (share: number) => void,
): Promise<HopSwapMeasure[]> {
  const breathe = () => context.reporter.breathe();
  const measures: HopSwapMeasure[] = [];
  const train = twoHopQuestions(dataset, model.tokenizer, 'TRAIN', grok);
  const heldOut = twoHopQuestions(dataset, model.tokenizer, 'VALIDATION', grok);
  const { right } = await measureAnswers(model, heldOut, { layer: grok.layer, breathe });
  const answered = heldOut.filter((_, i) => right[i]);
  const named = await trainRelationSaes(model, dataset, grok, context);
  const learned = await Promise.all(HOPS.map((hop) => captureHop(model, train, hop, grok, breathe)));
  for (const [group, stored] of saes.entries()) {
    const hops = saes.length === 1 ? HOPS : [HOPS[group]!];
    const rows = hops.flatMap((hop) => asPrompts(learned[hop]!, model));
    const sae = new Sae(stored);
    const editors = await prepareHopEditors(model, sae, rows, dataset, swaps, context);
    try {
      for (const hop of hops) {
        const { h } = await captureHop(model, heldOut, hop, grok, breathe);
        const trials = drawAll({ hop, train, learned: learned[hop]!.h, heldOut, h }, dataset, sae, swaps);
        const places = placesOf(hop, grok, train);
        const first = named[hop] && new Sae(named[hop]!);
        // The last place is where the hop is read, which `learned` has.
        const before = places.slice(0, -1);
        const own = await Promise.all(
          before.map((place) => captureHop(model, train, hop, grok, breathe, place)),
        );
        own.push(learned[hop]!);
        const given = { model, hop, layer: grok.layer, trials, answered, breathe };
        const more =
          first &&
          (await prepareHopEditors(model, first, asPrompts(own[0]!, model), dataset, swaps, context));
        const lab = more
          ? await preparePlaces(given, places, [more.all, editors.all])
          : await prepareLab(given, editors.all);
        try {
          for (const [i, hand] of lab.hands.entries()) {
            progress((hop + i / lab.hands.length) / HOPS.length);
            measures.push(await measureHand(lab, hand, trials, dataset.concepts.length, swaps.alphas));
          }
          measures.push(...(await measureCeilings(given, dataset, places, own)));
        } finally {
          lab.dispose();
          more?.dispose();
          first?.dispose();
        }
      }
    } finally {
      editors.dispose();
      sae.dispose();
    }
  }
  return measures;
}

/** The slots, the best latents of an unsupervised SAE as large, random ones, and no SAE at all where it is asked for. */
function prepareHopEditors(
  model: LanguageModel,
  sae: Sae,
  rows: readonly CapturedPrompt[],
  dataset: EngineDataset,
  { methods }: HopSwapSettings,
  context: JobContext,
): Promise<Editors> {
  const pairs = relationPairs(dataset);
  const captured = { SEEN: rows, VALIDATION: [], UNSEEN: [] };
  const quiet = { ...context, resumeFrom: null, reporter: quietly(context.reporter) };
  return prepareEditors(sae, {
    pairs,
    methods,
    controls: ['UNSUPERVISED_LATENT', 'RANDOM_LATENT'],
    unsupervised: () => trainUnsupervised(sae, { model, dataset, captured }, quiet, () => {}),
    async random() {
      const scales = freeScales(sae, rows);
      const drawn = dataset.concepts.map((_, concept) => {
        const random = createRandom(sae.settings.seed, 'hop-random-latents', concept);
        return randomSwap(random, scales, { source: concept, target: concept });
      });
      return pairs.map(({ source, target }) => ({ off: drawn[source]!.off, on: drawn[target]!.on }));
    },
  });
}

function drawAll(
  asked: {
    hop: 0 | 1;
    train: readonly TwoHopQuestion[];
    learned: Float32Array;
    heldOut: readonly TwoHopQuestion[];
    h: Float32Array;
  },
  dataset: EngineDataset,
  { settings }: Sae,
  { trials: count }: HopSwapSettings,
): HopTrials {
  const { hop } = asked;
  const train = { hop, questions: asked.train, h: asked.learned };
  const heldOut = { hop, questions: asked.heldOut, h: asked.h };
  const isWithheld = createWithheld(dataset, settings);
  const isShown = (entity: string, relation: number) => !isWithheld(entity, relation);
  const how = { seed: settings.seed, count };
  return {
    choosing: drawHopTrials(train, dataset, isShown, how),
    shown: drawHopTrials(heldOut, dataset, isShown, how),
    withheld: drawHopTrials(heldOut, dataset, isWithheld, how),
  };
}

/** The true activation and the sum, at the same places. */
async function measureCeilings(
  given: HopGiven,
  dataset: EngineDataset,
  places: readonly HopPlace[],
  learned: readonly HopActivations[],
): Promise<HopSwapMeasure[]> {
  const { model, hop, trials } = given;
  const measures: HopSwapMeasure[] = [];
  for (const [edited, ceiling] of [
    ['TRUE_ACTIVATION', createTrueActivation(model, dataset, given)],
    ['SUM', createSum(model, dataset, places, learned, given)],
  ] as const) {
    const tryAll = (own: readonly HopTrial[]) => ceiling(locateTrials(own, places));
    const tried = { shown: await tryAll(trials.shown), withheld: await tryAll(trials.withheld) };
    const what = { hop, edited, method: 'REPLACEMENT', alpha: 1 } as const;
    measures.push({
      ...measureOf(what, trials, tried, dataset.concepts.length),
      isolation: { questions: 0, kept: 0 },
      choosing: [{ alpha: 1, ...count(await tryAll(trials.choosing)) }],
    });
  }
  return measures;
}

/** The form in which one-hop questions are captured, so that baselines and their latents are found the same way. */
function asPrompts(
  { h, relations, entities, answers }: HopActivations,
  model: LanguageModel,
): CapturedPrompt[] {
  const { dModel } = model.config;
  return relations.map((relation, i) => ({
    id: String(i),
    prompt: '',
    answer: model.tokenizer.decode([answers[i]!]),
    template: '',
    entity: entities[i]!,
    concepts: [relation],
    split: 'TRAIN',
    h: h.subarray(i * dModel, (i + 1) * dModel),
  }));
}

/** Swaps of relations at either hop of two-hop questions, by every method and beside the controls. */
import { armedHook, SLOT_ON } from '../align/armed.ts';
import { trainBaseline } from '../align/baseline.ts';
import { findConceptLatents } from '../align/conceptLatents.ts';
import type { SwapMethod } from '../align/swap.ts';
import { freeScales } from '../align/swapEvaluation.ts';
import { setsLatent } from '../align/swapMethods.ts';
import { type CapturedPrompt, countSuccesses } from '../align/swapTrials.ts';
import { createWithheld } from '../align/withheld.ts';
import type { EngineDataset } from '../dataset.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { JobContext } from '../protocol.ts';
import { createRandom } from '../random.ts';
import { resolveBaselineSettings } from '../sae/baselineSettings.ts';
import { createLoadedSae, type LoadedSae, type StoredSae } from '../sae/file.ts';
import { captureHop } from './analyse.ts';
import { measureAnswers } from './answers.ts';
import type { HopActivations } from './hopSae.ts';
import { quietly } from './hopSae.ts';
import { type AskedHop, drawHopTrials, type HopTrial } from './hopTrials.ts';
import { type TwoHopQuestion, twoHopQuestions } from './questions.ts';
import type { GrokSettings } from './settings.ts';
import type { HopEdit, HopSwapMeasure, HopSwapResult, HopSwapSettings } from './swapJob.ts';

type Breathe = () => Promise<void>;

/** What stands for a relation: in which SAE, which latent, and what alpha 1 sets it to. */
interface HopEditor {
  edited: HopEdit;
  sae: LoadedSae;
  methods: readonly SwapMethod[];
  latentOf: (relation: number, role: 'off' | 'on') => { latent: number; scale: number };
}

/** What swaps at one hop are tried on. */
interface HopTrials {
  hop: 1 | 2;
  /** On TRAIN questions, to choose alpha by. */
  choosing: readonly HopTrial[];
  shown: readonly HopTrial[];
  withheld: readonly HopTrial[];
  /** Held-out questions that the model answers rightly. */
  answered: readonly TwoHopQuestion[];
}

/**
 * Swaps with the SAEs of an analysis (one for both hops, or one each). Alpha is chosen on TRAIN questions to pairs that
 * were shown; what is reported is of held-out questions. At hop 2 the question is followed by the right E2.
 */
export async function measureHopSwaps(
  model: LanguageModel,
  saes: readonly StoredSae[],
  dataset: EngineDataset,
  { grok, swaps }: { grok: GrokSettings; swaps: HopSwapSettings },
  context: JobContext,
): Promise<HopSwapResult> {
  const breathe = () => context.reporter.breathe();
  const measures: HopSwapMeasure[] = [];
  const chosen: { hop: 1 | 2; edited: HopEdit; success: number; measure: HopSwapMeasure }[] = [];
  const train = twoHopQuestions(dataset, model.tokenizer, 'TRAIN', grok);
  const heldOut = twoHopQuestions(dataset, model.tokenizer, 'VALIDATION', grok);
  const { right } = await measureAnswers(model, heldOut, { layer: grok.layer, breathe });
  const answered = heldOut.filter((_, i) => right[i]);
  const learned = await Promise.all(
    ([0, 1] as const).map((hop) => captureHop(model, train, hop, grok, breathe)),
  );
  for (const [group, stored] of saes.entries()) {
    const hops = saes.length === 1 ? ([0, 1] as const) : ([group as 0 | 1] as const);
    const rows = hops.flatMap((hop) => asPrompts(learned[hop]!, model));
    const editors = await prepareEditors(model, stored, rows, dataset, swaps, context);
    for (const hop of hops) {
      const h = (await captureHop(model, heldOut, hop, grok, breathe)).h;
      const trials = drawTrials(
        { hop, questions: train, h: learned[hop]!.h },
        { hop, questions: heldOut, h },
        { dataset, stored, swaps, answered },
      );
      for (const editor of editors.all)
        for (const method of editor.methods) {
          const found = await measureMethod(model, editor, method, trials, swaps, breathe);
          measures.push(found.measure);
          chosen.push({ hop: trials.hop, edited: editor.edited, ...found });
        }
    }
    editors.dispose();
  }
  return {
    measures,
    ratios: ([1, 2] as const).map((hop) =>
      ratioOf(
        chosen.filter((c) => c.hop === hop),
        hop,
      ),
    ),
  };
}

function drawTrials(
  train: AskedHop,
  heldOut: AskedHop,
  {
    dataset,
    stored: { settings },
    swaps,
    answered,
  }: {
    dataset: EngineDataset;
    stored: StoredSae;
    swaps: HopSwapSettings;
    answered: readonly TwoHopQuestion[];
  },
): HopTrials {
  const isWithheld = createWithheld(dataset, settings);
  const isShown = (entity: string, relation: number) => !isWithheld(entity, relation);
  const how = { seed: settings.seed, count: swaps.trials };
  return {
    hop: (train.hop + 1) as 1 | 2,
    choosing: drawHopTrials(train, dataset, isShown, how),
    shown: drawHopTrials(heldOut, dataset, isShown, how),
    withheld: drawHopTrials(heldOut, dataset, isWithheld, how),
    answered,
  };
}

/** The slots, and the controls: the best latents of an unsupervised SAE as large, random ones, and no SAE at all. */
async function prepareEditors(
  model: LanguageModel,
  stored: StoredSae,
  rows: readonly CapturedPrompt[],
  dataset: EngineDataset,
  { methods: asked }: HopSwapSettings,
  context: JobContext,
) {
  const { nFree, nConcepts } = stored.config;
  const methods = asked.filter((method) => method !== 'MEAN_DIFFERENCE');
  const captured = { SEEN: rows, VALIDATION: [], UNSEEN: [] };
  const { seed, layer } = stored.settings;
  const settings = resolveBaselineSettings({ seed, layer, nFree: nFree + nConcepts }, nConcepts);
  const quiet = { ...context, resumeFrom: null, reporter: quietly(context.reporter) };
  const baseline = createLoadedSae(
    await trainBaseline({ model, dataset, captured, settings }, quiet, () => {}),
  );
  const best = await findConceptLatents(baseline, captured, () => context.reporter.breathe());
  const sae = createLoadedSae(stored);
  const scales = freeScales(sae, rows);
  const random = dataset.concepts.map((_, concept) => {
    const draw = createRandom(seed, 'hop-random-latents', concept);
    return { off: draw.int(nFree), on: draw.int(nFree) };
  });
  const slot = (relation: number) => ({ latent: nFree + relation, scale: 1 });
  const all: HopEditor[] = [
    { edited: 'CONCEPT', sae, methods, latentOf: slot },
    {
      ...{ edited: 'UNSUPERVISED_LATENT', sae: baseline, methods },
      latentOf: (relation) => ({ latent: best[relation]!.latent, scale: best[relation]!.meanActivation }),
    },
    {
      ...{ edited: 'RANDOM_LATENT', sae, methods },
      latentOf: (relation, role) => ({
        latent: random[relation]![role],
        scale: scales[random[relation]![role]]!,
      }),
    },
  ];
  if (asked.includes('MEAN_DIFFERENCE'))
    all.push({ edited: 'MEAN_DIFFERENCE', sae, methods: ['MEAN_DIFFERENCE'], latentOf: slot });
  const dispose = () => {
    sae.dispose();
    baseline.dispose();
  };
  return { all, dispose };
}

/** The form in which one-hop questions are captured, so that baselines and their latents are found the same way. */
function asPrompts(
  { h, relations, entities, answers }: HopActivations,
  model: LanguageModel,
): CapturedPrompt[] {
  const { dModel } = model.config;
  return relations.map((relation, i) => ({
    ...{ id: String(i), prompt: '', answer: model.tokenizer.decode([answers[i]!]), template: '' },
    ...{ entity: entities[i]!, concepts: [relation], split: 'TRAIN' },
    h: h.subarray(i * dModel, (i + 1) * dModel),
  }));
}

async function measureMethod(
  model: LanguageModel,
  editor: HopEditor,
  method: SwapMethod,
  { hop, choosing, shown, withheld, answered }: HopTrials,
  { alphas, trials: count }: HopSwapSettings,
  breathe: Breathe,
): Promise<{ success: number; measure: HopSwapMeasure }> {
  const editsOf = createHopEdits(editor, method);
  const pair = { model, sae: editor.sae };
  const tryAll = async (trials: readonly HopTrial[], alpha: number) => ({
    trials: trials.length,
    successes: await countSuccesses(
      pair,
      trials.map((trial) => ({ ...trial, expected: [trial.expected] })),
      trials.map((trial) => editsOf(trial, alpha)),
      method,
      breathe,
    ),
  });
  let best = { alpha: alphas[0]!, success: -1 };
  for (const alpha of alphas) {
    const { trials, successes } = await tryAll(choosing, alpha);
    const success = successes / Math.max(1, trials);
    if (success > best.success) best = { alpha, success };
  }
  const { alpha } = best;
  const armed = shown.slice(0, count).flatMap(({ source, target }, i) => {
    const others = answered.filter(({ relations }) => !relations.includes(source));
    const question = others[i % Math.max(1, others.length)];
    return question ? [{ question, source, target }] : [];
  });
  const edits = armed.map(({ source, target }) => {
    const { latent, scale } = editor.latentOf(source, 'off');
    return { ...editsOf({ source, target }, alpha), off: latent, threshold: scale * SLOT_ON };
  });
  const { correct } = await measureAnswers(
    model,
    armed.map(({ question }) => question),
    {
      layer: editor.sae.settings.layer,
      edit: (resid, start) =>
        armedHook(
          editor.sae,
          editor.sae.settings.layer,
          edits.slice(start, start + resid.shape[0]),
          method,
        ).apply(resid),
      breathe,
    },
  );
  const measure: HopSwapMeasure = {
    ...{ hop, edited: editor.edited, method, alpha },
    shown: await tryAll(shown, alpha),
    withheld: await tryAll(withheld, alpha),
    isolation: { questions: armed.length, kept: correct },
  };
  return { success: best.success, measure };
}

/** Edits at an alpha, which counts in the latent's own scale where the method sets latents. */
export function createHopEdits({ latentOf }: Pick<HopEditor, 'latentOf'>, method: SwapMethod) {
  return ({ source, target }: { source: number; target: number }, alpha: number) => {
    const on = latentOf(target, 'on');
    return {
      off: latentOf(source, 'off').latent,
      on: on.latent,
      alpha: setsLatent(method) ? alpha * on.scale : alpha,
    };
  };
}

function ratioOf(
  found: readonly { edited: HopEdit; success: number; measure: HopSwapMeasure }[],
  hop: 1 | 2,
): HopSwapResult['ratios'][number] {
  const rateOf = (edited: HopEdit) => {
    const [best] = found.filter((each) => each.edited === edited).sort((a, b) => b.success - a.success);
    const { trials = 0, successes = 0 } = best?.measure.withheld ?? {};
    return successes / Math.max(1, trials);
  };
  const slots = rateOf('CONCEPT');
  const unsupervised = rateOf('UNSUPERVISED_LATENT');
  return { hop, slots, unsupervised, ratio: unsupervised > 0 ? slots / unsupervised : null };
}

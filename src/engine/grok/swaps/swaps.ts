/** Swaps of relations at either hop of two-hop questions, by every method and beside the controls. */
import { join } from 'node:path';
import { armedHook, SLOT_ON } from '../../align/armed.ts';
import { countSuccesses } from '../../align/swapTrials.ts';
import { createWithheld } from '../../align/withheld.ts';
import type { GrokSettings } from '../../contract/analysisSettings.ts';
import type { EngineDataset } from '../../contract/dataset.ts';
import type { HopSwapJob, HopSwapMeasure, HopSwapResult } from '../../contract/hopSwap.ts';
import type { HopSwapSettings } from '../../contract/hopSwapSettings.ts';
import type { JobContext } from '../../contract/protocol.ts';
import type { SwapMethod } from '../../contract/swap.ts';
import { type LanguageModel, loadLanguageModel } from '../../model/languageModel.ts';
import { readSae, type StoredSae, writeSae } from '../../sae/file.ts';
import { captureHop, HOPS, trainHopSaes } from '../analyse.ts';
import { measureAnswers } from '../answers.ts';
import { type TwoHopQuestion, twoHopQuestions } from '../questions.ts';
import { createHopEdits, type HopEditor, prepareEditors } from './editors.ts';
import { type AskedHop, drawHopTrials, type HopTrial } from './trials.ts';

/** Share of a job that trains the SAEs it was not given. */
const TRAINING_SHARE = 0.3;

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
 * Swaps with the SAEs given, or with those that the analysis settings give; the same job gives the same numbers.
 * @throws {AppError} INVALID_INPUT when the dataset has not the questions for it.
 */
export async function runHopSwaps(
  { model: ref, dataset, analysis: grok, swaps, saes: given }: HopSwapJob,
  context: JobContext,
): Promise<HopSwapResult> {
  const { reporter, workDir } = context;
  const report = (phase: string) => (progress: number) =>
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
 * Swaps with the SAEs of an analysis (one for both hops, or one each). Alpha is chosen on TRAIN questions to pairs that
 * were shown; what is reported is of held-out questions. At hop 2 the question is followed by the right E2.
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
  const learned = await Promise.all(HOPS.map((hop) => captureHop(model, train, hop, grok, breathe)));
  for (const [group, stored] of saes.entries()) {
    const hops = saes.length === 1 ? HOPS : [HOPS[group]!];
    const own = hops.map((hop) => learned[hop]!);
    const editors = await prepareEditors(model, stored, own, dataset, swaps.methods, context);
    try {
      for (const hop of hops) {
        const { h } = await captureHop(model, heldOut, hop, grok, breathe);
        const trials = drawTrials(
          { hop, questions: train, h: learned[hop]!.h },
          { hop, questions: heldOut, h },
          { dataset, stored, swaps, answered },
        );
        const all = editors.all.flatMap((editor) => editor.methods.map((method) => ({ editor, method })));
        for (const [i, { editor, method }] of all.entries()) {
          progress((hop + i / all.length) / HOPS.length);
          measures.push(await measureMethod(model, editor, method, trials, swaps, breathe));
        }
      }
    } finally {
      editors.dispose();
    }
  }
  return measures;
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

async function measureMethod(
  model: LanguageModel,
  editor: HopEditor,
  method: SwapMethod,
  { hop, choosing, shown, withheld, answered }: HopTrials,
  { alphas }: HopSwapSettings,
  breathe: () => Promise<void>,
): Promise<HopSwapMeasure> {
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
  const tried = [];
  for (const alpha of alphas) tried.push({ alpha, ...(await tryAll(choosing, alpha)) });
  const { alpha } = tried.reduce((best, each) => (each.successes > best.successes ? each : best));
  return {
    ...{ hop, edited: editor.edited, method, alpha },
    shown: await tryAll(shown, alpha),
    withheld: await tryAll(withheld, alpha),
    isolation: await measureIsolation(model, editor, { method, alpha }, { shown, answered }, breathe),
    choosing: tried,
  };
}

/** The swaps to shown pairs, each armed on a question that asks about its source at neither hop. */
async function measureIsolation(
  model: LanguageModel,
  editor: HopEditor,
  { method, alpha }: { method: SwapMethod; alpha: number },
  { shown, answered }: Pick<HopTrials, 'shown' | 'answered'>,
  breathe: () => Promise<void>,
): Promise<HopSwapMeasure['isolation']> {
  const editsOf = createHopEdits(editor, method);
  const armed = shown.flatMap(({ source, target }, i) => {
    const others = answered.filter(({ relations }) => !relations.includes(source));
    const question = others[i % Math.max(1, others.length)];
    return question ? [{ question, source, target }] : [];
  });
  const edits = armed.map(({ source, target }) => {
    const { latent, scale } = editor.latentOf(source, 'off');
    return { ...editsOf({ source, target }, alpha), off: latent, threshold: scale * SLOT_ON };
  });
  const { sae } = editor;
  const { layer } = sae.settings;
  const { correct } = await measureAnswers(
    model,
    armed.map(({ question }) => question),
    {
      layer,
      edit: (resid, start) =>
        armedHook(sae, layer, edits.slice(start, start + resid.shape[0]), method).apply(resid),
      breathe,
    },
  );
  return { questions: armed.length, kept: correct };
}

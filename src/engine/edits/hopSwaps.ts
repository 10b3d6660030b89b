/** The hop-swap job: swaps of relations at either hop of two-hop questions, by every method and beside the controls. */
import { join } from 'node:path';
import { createRandom } from '../../random.ts';
import type { CapturedPrompt } from '../align/captured.ts';
import { createWithheld } from '../align/withheld.ts';
import type { GrokSettings } from '../contract/analysisSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { HopEdit, HopSwapJob, HopSwapMeasure, HopSwapResult } from '../contract/hopSwap.ts';
import type { HopSwapSettings } from '../contract/hopSwapSettings.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { SwapMethod } from '../contract/swap.ts';
import { captureHop, HOPS, trainHopSaes } from '../grok/analyse.ts';
import { measureAnswers } from '../grok/answers.ts';
import { type HopActivations, quietly } from '../grok/hopSae.ts';
import { type TwoHopQuestion, twoHopQuestions } from '../grok/questions.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { readSae, type StoredSae, writeSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { type AskedTrials, askTrials, type CellEdits, findSuccesses } from './answers.ts';
import { type Editors, freeScales, prepareEditors, trainUnsupervised } from './controls.ts';
import { type Editor, randomSwap } from './editors.ts';
import { drawHopTrials, type HopTrial, relationPairs } from './hopTrials.ts';
import { type Isolation, prepareIsolation } from './isolation.ts';

/** Share of a job that trains the SAEs it was not given. */
const TRAINING_SHARE = 0.3;

type Breathe = () => Promise<void>;

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
    const rows = hops.flatMap((hop) => asPrompts(learned[hop]!, model));
    const sae = new Sae(stored);
    const editors = await prepareHopEditors(model, sae, rows, dataset, swaps, context);
    try {
      for (const hop of hops) {
        const { h } = await captureHop(model, heldOut, hop, grok, breathe);
        const trials = drawAll({ hop, train, learned: learned[hop]!.h, heldOut, h }, dataset, sae, swaps);
        const lab = await prepareLab(model, sae, hop, trials, answered, breathe);
        try {
          const all = editors.all.flatMap((editor) => editor.methods.map((method) => ({ editor, method })));
          for (const [i, edits] of all.entries()) {
            progress((hop + i / all.length) / HOPS.length);
            measures.push(await measureMethod(lab, edits, swaps.alphas, breathe));
          }
        } finally {
          lab.dispose();
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

/** What swaps at one hop are tried on. */
interface HopTrials {
  /** On TRAIN questions, to choose alpha by. */
  choosing: readonly HopTrial[];
  shown: readonly HopTrial[];
  withheld: readonly HopTrial[];
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

/** A hop's trials on the model; null stands for none. */
interface HopLab {
  hop: 1 | 2;
  asked: Record<keyof HopTrials, AskedTrials | null>;
  isolation: Isolation<'QUESTION'>;
  dispose(): void;
}

/** Isolation is the swaps to shown pairs, each armed on a question that asks about its source at neither hop. */
async function prepareLab(
  model: LanguageModel,
  { settings: { layer } }: Sae,
  hop: 0 | 1,
  trials: HopTrials,
  answered: readonly TwoHopQuestion[],
  breathe: Breathe,
): Promise<HopLab> {
  const cases = trials.shown.flatMap(({ pair, source }, i) => {
    const others = answered.filter(({ relations }) => !relations.includes(source));
    const question = others[i % Math.max(1, others.length)];
    return question ? [{ pair, kind: 'QUESTION' as const, question }] : [];
  });
  // With the end token, which these questions are answered with too.
  const maxNewTokens = Math.max(0, ...cases.map(({ question: { tokens, from } }) => tokens.length - from));
  const isolation = await prepareIsolation(
    model,
    ['QUESTION'],
    cases.map(({ question, ...rest }) => ({ ...rest, tokens: question.tokens.slice(0, question.from) })),
    { layer, maxNewTokens, breathe },
  );
  const ask = (own: readonly HopTrial[]) => (own.length > 0 ? askTrials(model, layer, own) : null);
  const asked = {
    choosing: ask(trials.choosing),
    shown: ask(trials.shown),
    withheld: ask(trials.withheld),
  };
  const dispose = () => {
    for (const own of Object.values(asked)) own?.dispose();
  };
  return { hop: (hop + 1) as 1 | 2, asked, isolation, dispose };
}

async function measureMethod(
  { hop, asked, isolation }: HopLab,
  { editor, method }: Omit<CellEdits, 'alpha'>,
  alphas: readonly number[],
  breathe: Breathe,
): Promise<HopSwapMeasure> {
  const tryAll = async (own: AskedTrials | null, alpha: number) =>
    own ? await findSuccesses(own, { editor, method, alpha }, breathe) : [];
  const choosing = [];
  for (const alpha of alphas) choosing.push({ alpha, ...count(await tryAll(asked.choosing, alpha)) });
  const { alpha } = choosing.reduce((best, each) => (each.successes > best.successes ? each : best));
  const shown = await tryAll(asked.shown, alpha);
  const withheld = await tryAll(asked.withheld, alpha);
  const { QUESTION } = await isolation.measure({ editor, method, alpha });
  return {
    hop,
    edited: editor.edited as HopEdit,
    method: method as SwapMethod,
    alpha,
    shown: count(shown),
    withheld: count(withheld),
    relations: byRelation(
      editor,
      { asked: asked.shown, right: shown },
      { asked: asked.withheld, right: withheld },
    ),
    isolation: { questions: QUESTION.asked, kept: QUESTION.kept },
    choosing,
  };
}

const count = (right: readonly boolean[]) => ({
  trials: right.length,
  successes: right.filter(Boolean).length,
});

/** Trials with whether each succeeded. */
interface Tried {
  asked: AskedTrials | null;
  right: readonly boolean[];
}

/** Counts of each relation, where it is turned off and where it is turned on. */
function byRelation({ swaps, sae }: Editor, shown: Tried, withheld: Tried): HopSwapMeasure['relations'] {
  const of = ({ asked, right }: Tried, side: 'off' | 'on', relation: number) =>
    count(right.filter((_, i) => swaps[asked!.trials[i]!.pair]![side].concept === relation));
  return sae.concepts.map((_, relation) => {
    const counts = (side: 'off' | 'on') => ({
      shown: of(shown, side, relation),
      withheld: of(withheld, side, relation),
    });
    return { relation, source: counts('off'), target: counts('on') };
  });
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

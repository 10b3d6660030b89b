/** Swaps of what the model knows: both prompts are answered right unedited, and no answer to one is right for the other. */
import { isAnswer } from '../../src/data/answers.ts';
import type { CapturedPopulations, CapturedPrompt } from '../../src/engine/align/captured.ts';
import { answersOf, type EngineDataset, type Split } from '../../src/engine/contract/dataset.ts';
import type { JobContext } from '../../src/engine/contract/protocol.ts';
import type { SwapPlacement } from '../../src/engine/contract/swap.ts';
import {
  ANSWER,
  type AskedTrials,
  askTrials,
  isExpected,
  type Trial,
} from '../../src/engine/edits/answers.ts';
import { conceptPairs, createEditor, type Editor, slotSwap } from '../../src/engine/edits/editors.ts';
import { prepareIsolation } from '../../src/engine/edits/isolation.ts';
import { type FixedPlacement, REPLACED, type Replacement } from '../../src/engine/edits/replacements.ts';
import { type Sums, sumsOf } from '../../src/engine/edits/sums.ts';
import { indexTargetPrompts } from '../../src/engine/edits/targetPrompts.ts';
import type { LanguageModel } from '../../src/engine/model/languageModel.ts';
import type { Sae } from '../../src/engine/sae/sae.ts';
import { createRandom } from '../../src/random.ts';
import type { KeptKnowledge } from './knowledge.ts';

const ALPHAS = [1, 1.5, 2, 3];
/** For the mean difference, at the last prompt token. */
const MEAN_ALPHA = 1.5;
/** Candidates drawn for each swap that is wanted: some prompts are answered wrong. */
const SPARE = 1.8;
/** Tokens by which continuations are compared. */
const ISOLATION_TOKENS = 8;

/** What is measured. */
export interface SwapPlan {
  /** Swaps of validation entities to choose alpha by, and of unseen ones by split. */
  counts: Record<'VALIDATION' | 'TRAIN' | 'TEST_OOD', number>;
  /** Where slots edit on unseen entities. */
  placements: readonly SwapPlacement[];
  /** Where controls do. */
  controlled: readonly FixedPlacement[];
  replacements: readonly Replacement[];
  /** Prompts about other concepts on which swaps are armed. */
  isolation: number;
}

/** A whole one; the slots alone, on the same swaps; and what shows which layer is right. */
export const PLANS = {
  WHOLE: {
    counts: { VALIDATION: 120, TRAIN: 250, TEST_OOD: 200 },
    placements: ['LAST_TOKEN', 'ANSWER', 'ARMED'],
    controlled: ['LAST_TOKEN', 'ANSWER'],
    replacements: ['TRUE_ACTIVATION', 'SUM'],
    isolation: 130,
  },
  SLOTS: {
    counts: { VALIDATION: 120, TRAIN: 250, TEST_OOD: 200 },
    placements: ['LAST_TOKEN', 'ANSWER'],
    ...{ controlled: [], replacements: [], isolation: 0 },
  },
  LAYER: {
    counts: { VALIDATION: 60, TRAIN: 100, TEST_OOD: 0 },
    placements: ['ANSWER'],
    controlled: ['ANSWER'],
    replacements: ['TRUE_ACTIVATION'],
    isolation: 0,
  },
} satisfies Record<string, SwapPlan>;

export interface Figure {
  split: Split;
  edited: string;
  placement: SwapPlacement;
  alpha: number;
  trials: number;
  successes: number;
}

export interface SwapFigures {
  /** With the most successes on validation entities, where the SAE was trained. */
  alpha: number;
  choosing: Figure[];
  /** On unseen entities. */
  reported: Figure[];
  /** Armed swaps on prompts about other concepts: asked, and left as they were. */
  isolation: { asked: number; kept: number };
}

interface Lab {
  model: LanguageModel;
  dataset: EngineDataset;
  knowledge: KeptKnowledge;
  sae: Sae;
  captured: CapturedPopulations;
}

interface Drawn {
  prompt: CapturedPrompt;
  target: CapturedPrompt;
  pair: number;
  expected: string[];
}

export async function measureSwaps(lab: Lab, plan: SwapPlan, { reporter }: JobContext): Promise<SwapFigures> {
  const { sae, captured, dataset, model } = lab;
  const { layer, positions } = sae.settings;
  const breathe = () => reporter.breathe();
  const pairs = conceptPairs(dataset.concepts.length);
  const swaps = pairs.map((pair) => slotSwap(sae, pair));
  const slots = createEditor({ edited: 'CONCEPT', sae, methods: ['LATENT_DECODE'], swaps });
  const means = createEditor({ edited: 'MEAN_DIFFERENCE', sae, methods: ['MEAN_DIFFERENCE'], swaps });
  const sums = sumsOf(captured, dataset.concepts.length);
  const ask = (drawn: readonly Drawn[]) =>
    askTrials(
      model,
      layer,
      drawn.map((one) => trialOf(one, model)),
    );
  const edit = async (asked: AskedTrials, split: Split, how: Edited): Promise<Figure> => {
    const edits = { editor: how.editor, method: how.editor.methods[0]!, alpha: how.alpha, alphaLater: 1 };
    const answers = await ANSWER[how.placement](asked, edits, breathe);
    const { placement, alpha } = how;
    return { split, edited: how.editor.edited, placement, alpha, ...count(asked, answers) };
  };

  const choosing: Figure[] = [];
  const validation = ask(await draw(lab, pairs, 'VALIDATION', 'TRAIN', plan.counts.VALIDATION));
  for (const alpha of ALPHAS)
    choosing.push(await edit(validation, 'TRAIN', { editor: slots, alpha, placement: positions }));
  validation.dispose();
  const { alpha } = choosing.reduce((best, each) => (each.successes > best.successes ? each : best));

  const reported: Figure[] = [];
  for (const split of ['TRAIN', 'TEST_OOD'] as const) {
    if (plan.counts[split] === 0) continue;
    const drawn = await draw(lab, pairs, 'UNSEEN', split, plan.counts[split]);
    const asked = ask(drawn);
    for (const placement of plan.placements)
      reported.push(await edit(asked, split, { editor: slots, alpha, placement }));
    for (const placement of plan.controlled) {
      reported.push(await edit(asked, split, { editor: means, alpha: MEAN_ALPHA, placement }));
      const how = { split, placement, pairs, sums, replacements: plan.replacements };
      reported.push(...(await replaceAll(asked, drawn, how, breathe)));
    }
    asked.dispose();
  }
  return {
    alpha,
    choosing,
    reported,
    isolation: await isolate(lab, slots, pairs, alpha, plan.isolation, breathe),
  };
}

interface Edited {
  editor: Editor;
  alpha: number;
  placement: SwapPlacement;
}

function trialOf({ prompt, pair, expected }: Drawn, { tokenizer }: LanguageModel): Trial {
  return { tokens: tokenizer.encode(prompt.prompt), h: prompt.h, pair, expected };
}

async function replaceAll(
  asked: AskedTrials,
  drawn: readonly Drawn[],
  {
    split,
    placement,
    pairs,
    sums,
    replacements,
  }: {
    split: Split;
    placement: FixedPlacement;
    replacements: readonly Replacement[];
    pairs: readonly { source: number; target: number }[];
    sums: Sums;
  },
  breathe: () => Promise<void>,
): Promise<Figure[]> {
  const trials = drawn.map(({ prompt, target, pair }) => ({
    ...{ ...pairs[pair]!, entity: prompt.entity },
    targetTokens: asked.model.tokenizer.encode(target.prompt),
  }));
  const figures: Figure[] = [];
  for (const edited of replacements) {
    const answers = await REPLACED[edited]({ asked, trials, sums }, placement, breathe);
    figures.push({ split, edited, placement, alpha: 1, ...count(asked, answers) });
  }
  return figures;
}

function count({ model, trials }: AskedTrials, answers: readonly (string | null)[]) {
  const tried = answers.flatMap((answer, i) => (answer === null ? [] : [{ answer, i }]));
  const right = tried.filter(({ answer, i }) => isExpected(model, answer, trials[i]!.expected));
  return { trials: tried.length, successes: right.length };
}

async function draw(
  { dataset, knowledge, captured, sae }: Lab,
  pairs: readonly { source: number; target: number }[],
  population: keyof CapturedPopulations,
  split: Split,
  wanted: number,
): Promise<Drawn[]> {
  const targetOf = indexTargetPrompts([...captured[population]]);
  const own = captured[population].filter((prompt) => prompt.split === split);
  const candidates = own.flatMap((prompt) =>
    pairs.flatMap(({ source, target: concept }, pair): Drawn[] => {
      const target = source === prompt.concepts[0] ? targetOf(prompt, concept) : null;
      const expected = dataset.facts
        .filter((fact) => fact.entity === prompt.entity && fact.concept === concept)
        .map(({ value }) => value);
      const tells = !answersOf(prompt).some((answer) => isAnswer(answer, expected));
      return target && tells ? [{ prompt, target, pair, expected }] : [];
    }),
  );
  const random = createRandom(sae.settings.seed, 'world', population, split);
  const drawn = random.shuffle(candidates).slice(0, Math.round(wanted * SPARE));
  await knowledge.ask(drawn.flatMap(({ prompt, target }) => [prompt, target]));
  const known = drawn.filter(({ prompt, target }) => knowledge.isRight(prompt) && knowledge.isRight(target));
  return known.slice(0, wanted);
}

/** Each unseen entity's prompts, under a swap from another concept than their own. */
async function isolate(
  { model, captured, sae }: Lab,
  editor: Editor,
  pairs: readonly { source: number; target: number }[],
  alpha: number,
  count: number,
  breathe: () => Promise<void>,
): Promise<SwapFigures['isolation']> {
  if (count === 0) return { asked: 0, kept: 0 };
  const random = createRandom(sae.settings.seed, 'world', 'isolation');
  const prompts = random.shuffle(captured.UNSEEN.filter(({ split }) => split === 'TRAIN')).slice(0, count);
  const cases = prompts.map(({ prompt, concepts }) => {
    const others = pairs.flatMap(({ source }, pair) => (source === concepts[0] ? [] : [pair]));
    const pair = others[random.int(others.length)]!;
    return { pair, kind: 'PROMPT' as const, tokens: model.tokenizer.encode(prompt) };
  });
  const options = { layer: sae.settings.layer, maxNewTokens: ISOLATION_TOKENS, breathe };
  const isolation = await prepareIsolation(model, ['PROMPT'] as const, cases, options);
  const edits = { editor, method: 'LATENT_DECODE' as const, alpha, alphaLater: 1 };
  return (await isolation.measure(edits)).PROMPT;
}

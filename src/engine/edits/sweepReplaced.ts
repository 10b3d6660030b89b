/** What the controls of a sweep without alpha need: sums, and the subspace of DAS, trained and chosen here. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import type { CapturedPopulations } from '../align/captured.ts';
import { splitPopulations } from '../align/population.ts';
import { createWithheld } from '../align/withheld.ts';
import { answersOf, isQuestion, type Prompt, type Split } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { DasTraining, SwapSweepJob } from '../contract/swapSweep.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokens } from '../model/tokens.ts';
import type { Sae } from '../sae/sae.ts';
import { type AskedTrials, isExpected, longestAnswer } from './answers.ts';
import { type Interchange, prepareDas, trainDas } from './das.ts';
import { conceptPairs } from './editors.ts';
import { continuePatched, type Patching } from './patched.ts';
import type { ReplacedTrial, ReplacedTrials } from './replacements.ts';
import type { Subspace } from './subspace.ts';
import { sumsOf } from './sums.ts';
import type { SweepSwap } from './sweepSwaps.ts';
import { type SweepTrial, sweepDraw } from './trials.ts';

/** Swaps that DAS learns from, and swaps by which its dimensions are chosen, at most. */
const MAX_LEARNED = 1024;
const MAX_CHOSEN_BY = 200;

export async function prepareReplaced(
  job: SwapSweepJob,
  {
    model,
    sae,
    asked,
    swaps,
  }: { model: LanguageModel; sae: Sae; asked: AskedTrials; swaps: readonly SweepSwap[] },
  { context, capture }: { context: JobContext; capture: () => Promise<CapturedPopulations> },
): Promise<{ replaced: ReplacedTrials; das: DasTraining | null }> {
  const { settings, dataset, pairs } = job;
  const sums = settings.controls.includes('SUM') ? sumsOf(await capture(), dataset.concepts.length) : null;
  const das = settings.controls.includes('DAS') ? await searchSubspace(job, model, sae, context) : null;
  const random = createRandom(settings.seed, 'sweep', 'das', 'sources');
  const trials = swaps.map(({ prompt, pair, targetPrompt }): ReplacedTrial => {
    const { source, target } = pairs[pair]!;
    return {
      ...{ source, target, entity: prompt.entity },
      targetTokens: targetPrompt && model.asking.prompt(targetPrompt.prompt),
      ...(das && { sourceTokens: das.sourceOf(random.int, prompt.entity, target) }),
    };
  });
  return { replaced: { asked, trials, sums, subspace: das?.subspace ?? null }, das: das?.training ?? null };
}

interface Search {
  subspace: Subspace;
  training: DasTraining;
  sourceOf: SourceOf;
}

/** A prompt about the concept of another entity, as tokens; null where there is none. */
type SourceOf = (draw: (n: number) => number, entity: string, concept: number) => Tokens | null;

/** Trains a subspace of each size on the swaps that alignments learn from, and keeps the best on other entities. */
async function searchSubspace(
  job: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  { reporter }: JobContext,
): Promise<Search> {
  const { settings } = job;
  const { dModel } = model.config;
  const wide = settings.dasDimensions.find((k) => k > dModel);
  if (wide !== undefined)
    throw invalidInput(
      ['settings', 'dasDimensions'],
      `dasDimensions must be at most the model's width, ${dModel}; got ${wide}`,
    );
  const options = {
    layer: sae.settings.layer,
    later: settings.placement !== 'LAST_TOKEN',
    steps: settings.dasSteps,
    breathe: () => reporter.breathe(),
  };
  const lab = createLab(job, model, sae);
  const learned = lab.draw('SEEN', 'TRAIN', MAX_LEARNED);
  if (learned.length === 0)
    throw invalidInput(
      ['settings', 'controls'],
      'DAS has no swap to learn from: no SEEN entity has TRAIN prompts about two concepts; leave it out',
    );
  const chosenBy = lab.drawFirst([
    ['VALIDATION', 'VALIDATION'],
    ['VALIDATION', 'TRAIN'],
    ['SEEN', 'TRAIN'],
  ]);
  const prepared = await prepareDas(model, learned, options);
  let best: { subspace: Subspace; successes: number } | null = null;
  const tried: DasTraining['tried'] = [];
  for (const [i, k] of settings.dasDimensions.entries()) {
    reporter.progress({ phase: 'BASELINE', progress: i / settings.dasDimensions.length, etaSeconds: null });
    const random = createRandom(settings.seed, 'sweep', 'das', k);
    const { subspace, loss } = await trainDas(model, prepared, random, k, options);
    const successes = await countRight(model, chosenBy, { ...options, subspace }, options.breathe);
    tried.push({ dimensions: k, loss, trials: chosenBy.length, successes });
    // Of equals the smaller one says more.
    if (!best || successes > best.successes || (successes === best.successes && k < best.subspace.k))
      best = { subspace, successes };
  }
  const { subspace } = best!;
  return { subspace, training: { dimensions: subspace.k, tried }, sourceOf: lab.sourceOf };
}

/** An interchange with all that may follow. */
interface Drawn extends Interchange {
  expected: readonly string[];
}

/** Draws interchanges of a population and a split, all concepts for all others. */
function createLab({ settings, dataset }: SwapSweepJob, model: LanguageModel, sae: Sae) {
  const { asking } = model;
  const { prompts, populationOf } = splitPopulations(dataset, sae.settings);
  const of = (population: string, split: Split) =>
    prompts.filter(
      (prompt) => isQuestion(prompt) && prompt.split === split && populationOf(prompt.entity) === population,
    );
  const sourceOf = createSources(model, of('SEEN', 'TRAIN'));
  const isWithheld = createWithheld(dataset, sae.settings);
  const pairs = conceptPairs(dataset.concepts.length);
  const draw = (population: 'SEEN' | 'VALIDATION', split: Split, count: number): Drawn[] => {
    const random = createRandom(settings.seed, 'sweep', 'das', population, split);
    const counts = (entity: string, target: number) => population !== 'SEEN' || !isWithheld(entity, target);
    const trials = sweepDraw(of(population, split), dataset, settings, counts);
    const all = random.shuffle(pairs.flatMap((pair, i) => trials(pair, i)));
    return all.slice(0, count).flatMap(({ prompt, pair, expected }: SweepTrial): Drawn[] => {
      const source = sourceOf(random.int, prompt.entity, pairs[pair]!.target);
      const tokens = asking.prompt(prompt.prompt);
      const answer = [...asking.answer(expected[0]!), asking.endId];
      const fits = source && Math.max(tokens.length, source.length) + answer.length - 1 <= model.config.nCtx;
      return fits ? [{ tokens, source, answer, expected }] : [];
    });
  };
  const drawFirst = (places: readonly (readonly ['SEEN' | 'VALIDATION', Split])[]): Drawn[] => {
    for (const [population, split] of places) {
      const drawn = draw(population, split, MAX_CHOSEN_BY);
      if (drawn.length > 0) return drawn;
    }
    return [];
  };
  return { draw, drawFirst, sourceOf };
}

function createSources({ asking }: LanguageModel, prompts: readonly Prompt[]): SourceOf {
  const byConcept = new Map<number, Prompt[]>();
  for (const prompt of prompts) {
    const own = byConcept.get(prompt.concepts[0]!) ?? [];
    byConcept.set(prompt.concepts[0]!, own);
    if (answersOf(prompt).length > 0) own.push(prompt);
  }
  return (draw, entity, concept) => {
    const others = (byConcept.get(concept) ?? []).filter((prompt) => prompt.entity !== entity);
    return others.length > 0 ? asking.prompt(others[draw(others.length)]!.prompt) : null;
  };
}

async function countRight(
  model: LanguageModel,
  drawn: readonly Drawn[],
  patching: Patching,
  breathe: () => Promise<void>,
): Promise<number> {
  const prompts = drawn.map(({ tokens, source, expected }) => {
    return { tokens, target: source, limit: longestAnswer(model, expected) + 1 };
  });
  const made = await continuePatched(model, prompts, patching, breathe);
  return made.filter((tokens, i) =>
    isExpected(model, model.tokenizer.decode(tokens).trim(), drawn[i]!.expected),
  ).length;
}

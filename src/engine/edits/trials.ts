/** Which swaps of one hop are tried, and on which prompts and texts; drawn by the seed alone. */
import { isAnswer } from '../../data/answers.ts';
import { createRandom } from '../../random.ts';
import type { CapturedPrompt } from '../align/captured.ts';
import { splitPopulations } from '../align/population.ts';
import type { AlignmentSettings } from '../contract/alignmentSettings.ts';
import { answersOf, type EngineDataset, type Fact, type Prompt, type Text } from '../contract/dataset.ts';
import type { SweepSettings } from '../contract/swapSweepSettings.ts';
import type { ConceptPair } from './editors.ts';

/** A prompt to be answered as if it asked for the target. */
export interface SwapTrial extends ConceptPair {
  prompt: string;
  /** Where the prompt is from. */
  example: CapturedPrompt;
  /** Raw activation at the edited position, `[dModel]`. */
  h: Float32Array;
  /** The entity's values for the target; any of them counts. */
  expected: readonly string[];
}

/**
 * Draws up to `count` different swaps from one-hop prompts by the seed, spread over the prompts first and over
 * targets second. Left out are targets of which the entity has no fact, and swaps whose source and target answers
 * coincide.
 */
export function drawTrials(
  prompts: readonly CapturedPrompt[],
  facts: readonly Fact[],
  { count, seed, stream }: { count: number; seed: number; stream: string },
): SwapTrial[] {
  const random = createRandom(seed, 'swaps', stream);
  const valuesOf = indexFacts(facts);
  const candidates = random.shuffle([...prompts]).map((prompt) => ({
    prompt,
    targets: random.shuffle(
      [...valuesOf(prompt.entity)].filter(
        ([target, expected]) => target !== prompt.concepts[0] && tells(prompt, expected),
      ),
    ),
  }));
  const trials: SwapTrial[] = [];
  for (let round = 0; trials.length < count; round++) {
    const open = candidates.filter(({ targets }) => targets.length > round);
    if (open.length === 0) break;
    for (const { prompt, targets } of open.slice(0, count - trials.length)) {
      const [target, expected] = targets[round]!;
      const source = prompt.concepts[0]!;
      trials.push({ prompt: prompt.prompt, example: prompt, h: prompt.h, source, target, expected });
    }
  }
  return trials;
}

/** Values by concept index. */
type Values = ReadonlyMap<number, readonly string[]>;

/** Each entity's values by concept. */
function indexFacts(facts: readonly Fact[]): (entity: string) => Values {
  const index = new Map<string, Map<number, string[]>>();
  for (const { entity, concept, value } of facts) {
    const byConcept = index.get(entity) ?? new Map<number, string[]>();
    index.set(entity, byConcept);
    byConcept.set(concept, [...(byConcept.get(concept) ?? []), value]);
  }
  const none: Values = new Map();
  return (entity) => index.get(entity) ?? none;
}

/** Whether the answers to the swap tell it from the prompt's own. */
function tells(prompt: Prompt, expected: readonly string[]): boolean {
  return expected.length > 0 && !answersOf(prompt).some((answer) => isAnswer(answer, expected));
}

/** A prompt to be answered as if it asked for the pair's target. */
export interface SweepTrial {
  /** Index of the pair. */
  pair: number;
  prompt: Prompt;
  /** The entity's values for the target; any of them counts. */
  expected: readonly string[];
}

/** A question about another concept than the source; a text that states nothing of the source; one that does. */
export const ISOLATION_KINDS = ['PROMPT', 'TEXT', 'STATEMENT'] as const;
type IsolationKind = (typeof ISOLATION_KINDS)[number];

/** What an armed swap of the pair must leave as it is. */
export interface IsolationText {
  pair: number;
  kind: IsolationKind;
  text: string;
}

/** The asked population's prompts of the asked phrasings. */
export function choosePrompts(
  dataset: EngineDataset,
  alignment: AlignmentSettings,
  { population, split }: SweepSettings,
): Prompt[] {
  const { prompts, populationOf } = splitPopulations(dataset, alignment);
  return prompts.filter((prompt) => prompt.split === split && populationOf(prompt.entity) === population);
}

/**
 * Draws the swaps of a pair, all that there are: `counts` tells which of an entity to a target may be tried. Left out are
 * those whose two answers coincide or whose entity lacks the fact.
 */
export function sweepDraw(
  prompts: readonly Prompt[],
  { facts }: EngineDataset,
  { seed }: SweepSettings,
  counts: (entity: string, target: number) => boolean = () => true,
): (pair: ConceptPair, index: number) => SweepTrial[] {
  const valuesOf = indexFacts(facts);
  return ({ source, target }, pair) => {
    const random = createRandom(seed, 'sweep', 'trials', source, target);
    const about = random.shuffle(prompts.filter(({ concepts }) => concepts[0] === source));
    return about.flatMap((prompt): SweepTrial[] => {
      const expected = valuesOf(prompt.entity).get(target) ?? [];
      return tells(prompt, expected) && counts(prompt.entity, target) ? [{ pair, prompt, expected }] : [];
    });
  };
}

/** Up to `promptsPerPair` swaps a pair, the first that are drawn. */
export function drawSweepTrials(
  prompts: readonly Prompt[],
  dataset: EngineDataset,
  pairs: readonly ConceptPair[],
  settings: SweepSettings,
  counts?: (entity: string, target: number) => boolean,
): SweepTrial[] {
  const draw = sweepDraw(prompts, dataset, settings, counts);
  return pairs.flatMap((pair, index) => draw(pair, index).slice(0, settings.promptsPerPair));
}

/** Up to `isolationPerPair` cases of each kind a pair. */
export function drawIsolationCases(
  prompts: readonly Prompt[],
  { texts, facts }: EngineDataset,
  pairs: readonly ConceptPair[],
  { seed, isolationPerPair }: SweepSettings,
): IsolationText[] {
  const valuesOf = indexFacts(facts);
  return pairs.flatMap(({ source, target }, pair) => {
    const random = createRandom(seed, 'sweep', 'isolation', source, target);
    const draw = (kind: IsolationKind, candidates: string[]) =>
      random
        .shuffle(candidates)
        .slice(0, isolationPerPair)
        .map((text): IsolationText => ({ pair, kind, text }));
    const states = ({ text, entity }: Text) => {
      const said = text.toLowerCase();
      return (valuesOf(entity).get(source) ?? []).some((value) => said.includes(value.toLowerCase()));
    };
    const others = prompts.filter(({ concepts }) => concepts[0] !== source);
    return [
      ...draw(
        'PROMPT',
        others.map(({ prompt }) => prompt),
      ),
      ...draw('TEXT', texts.filter((text) => !states(text)).map(beginningOf)),
      ...draw('STATEMENT', texts.filter(states).map(beginningOf)),
    ];
  });
}

/** The first half of a text's words, which the model goes on with: its end would leave nothing to say. */
function beginningOf({ text }: Text): string {
  const words = text.split(/\s+/);
  return words.slice(0, Math.max(1, Math.floor(words.length / 2))).join(' ');
}

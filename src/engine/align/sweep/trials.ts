/** Which prompts and texts a sweep asks, drawn by its seed alone. */
import { sameAnswer } from '../../../data/answers.ts';
import { createRandom } from '../../../random.ts';
import type { AlignmentSettings } from '../../contract/alignmentSettings.ts';
import type { EngineDataset, Prompt, Text } from '../../contract/dataset.ts';
import type { SweepSettings } from '../../contract/swapSweepSettings.ts';
import { splitPopulations } from '../population.ts';
import { indexFacts } from '../swapTrials.ts';
import type { ConceptPair } from './editors.ts';

/** A prompt to be answered as if it asked for the pair's target. */
export interface SweepTrial {
  /** Index of the pair. */
  pair: number;
  prompt: Prompt;
  /** The entity's values for the target; any of them counts. */
  expected: readonly string[];
}

/** What an armed swap of the pair must leave as it is. */
export interface IsolationCase {
  pair: number;
  /** A question about another concept than the source; a text that states nothing of the source; one that does. */
  kind: 'PROMPT' | 'TEXT' | 'STATEMENT';
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
 * Up to `promptsPerPair` swaps a pair; `counts` tells which swaps of an entity to a target may be tried. Left out are
 * those whose two answers coincide or whose entity lacks the fact.
 */
export function drawSweepTrials(
  prompts: readonly Prompt[],
  { facts }: EngineDataset,
  pairs: readonly ConceptPair[],
  { seed, promptsPerPair }: SweepSettings,
  counts: (entity: string, target: number) => boolean = () => true,
): SweepTrial[] {
  const valuesOf = indexFacts(facts);
  return pairs.flatMap(({ source, target }, pair) => {
    const random = createRandom(seed, 'sweep', 'trials', source, target);
    const about = random.shuffle(prompts.filter(({ concepts }) => concepts[0] === source));
    const trials = about.flatMap((prompt): SweepTrial[] => {
      const expected = valuesOf(prompt.entity).get(target) ?? [];
      const { answer } = prompt;
      const coincides = answer !== null && expected.some((value) => sameAnswer(value, answer));
      const tells = expected.length > 0 && !coincides;
      return tells && counts(prompt.entity, target) ? [{ pair, prompt, expected }] : [];
    });
    return trials.slice(0, promptsPerPair);
  });
}

/** Up to `isolationPerPair` cases of each kind a pair. */
export function drawIsolationCases(
  prompts: readonly Prompt[],
  { texts, facts }: EngineDataset,
  pairs: readonly ConceptPair[],
  { seed, isolationPerPair }: SweepSettings,
): IsolationCase[] {
  const valuesOf = indexFacts(facts);
  return pairs.flatMap(({ source, target }, pair) => {
    const random = createRandom(seed, 'sweep', 'isolation', source, target);
    const draw = (kind: IsolationCase['kind'], candidates: string[]) =>
      random
        .shuffle(candidates)
        .slice(0, isolationPerPair)
        .map((text): IsolationCase => ({ pair, kind, text }));
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

import { createReadStream } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { DatasetItem, FactItem, PromptItem, TextItem } from '../../src/data/items.ts';
import { openTwoHop, TWO_HOP_FILES } from '../../src/data/two-hop.ts';
import { generateTwoHop, twoHopSettings } from '../../src/data/two-hop-generator.ts';
import { FACT_PHRASINGS, RELATION_LABELS } from '../../src/data/two-hop-phrasings.ts';
import { stepwiseItems } from '../../src/data/two-hop-steps.ts';
import { FIRST_NAMES } from '../../src/data/vocabulary.ts';
import type { EngineDataset, Prompt } from '../../src/engine/contract/dataset.ts';

const bySplit = ({ prompts }: EngineDataset, split: string) => prompts.filter((p) => p.split === split);
const wordsOf = (text: string): string[] => text.toLowerCase().match(/\w+/g) ?? [];

/** The two facts of a question, as `entity concept value`, by the dataset's own facts. */
function factsOf({ facts }: EngineDataset, { entity, concepts, answer }: Prompt): string[] {
  const first = facts.find((fact) => fact.entity === entity && fact.concept === concepts[0])!;
  const second = facts.find((fact) => fact.entity === first.value && fact.concept === concepts[1])!;
  expect(answer).toBe(`${first.value} ${second.value}`);
  return [first, second].map((fact) => `${fact.entity} ${fact.concept} ${fact.value}`);
}

describe('generateTwoHop', () => {
  const bare = generateTwoHop({ trainShare: 0.1 });
  const stated = generateTwoHop({ trainShare: 0.1, factPhrasings: 3 });

  it('relates every E1 to an E2 and every E2 to an E3, and asks all that facts shown allow', () => {
    expect(bare.facts).toHaveLength(2 * 20 * 10);
    expect(bySplit(bare, 'TRAIN')).toHaveLength(200);
    expect(bare.texts).toHaveLength(0);
    expect(bySplit(stated, 'TRAIN')).toHaveLength(200);
    expect(bySplit(stated, 'VALIDATION')).toHaveLength(1800);
    expect(stated.texts).toHaveLength(3 * 400);
    expect(bySplit(bare, 'VALIDATION').length).toBeLessThan(1800);
  });

  it('words questions as it is told to, and answers them with E3 alone', () => {
    const common = { entities: 5, relations: 3, trainShare: 0.5 } as const;
    const usual = generateTwoHop(common);
    const label = (concept: number) => usual.concepts[concept]!.label;
    for (const [wording, said] of [
      ['ENTITY_LAST', (a: string, b: string, e: string) => `Who is the ${b} of the ${a} of ${e}`],
      ['RELATION_LAST', (a: string, b: string, e: string) => `Who is the ${b} for ${e} of the ${a}`],
      ['BARE', (a: string, b: string, e: string) => `${b} ${a} ${e}`],
    ] as const) {
      const { prompts } = generateTwoHop({ ...common, wording, answers: 'E3' });
      expect(prompts).toHaveLength(usual.prompts.length);
      prompts.forEach(({ prompt, answer, entity, concepts }, i) => {
        expect(prompt).toBe(said(label(concepts[0]!), label(concepts[1]!), entity));
        expect(answer).toBe(usual.prompts[i]!.answer!.split(' ')[1]);
      });
    }
  });

  it('holds out no question that is asked in training, and none whose facts training does not show', () => {
    for (const dataset of [bare, stated]) {
      const train = bySplit(dataset, 'TRAIN');
      const shown = new Set(
        dataset.texts.length > 0
          ? dataset.facts.map(({ entity, concept, value }) => `${entity} ${concept} ${value}`)
          : train.flatMap((prompt) => factsOf(dataset, prompt)),
      );
      const asked = new Set(train.map(({ prompt }) => prompt));
      const compositions = new Set(train.map(({ entity, concepts }) => `${entity} ${concepts}`));
      for (const prompt of bySplit(dataset, 'VALIDATION')) {
        expect(asked.has(prompt.prompt)).toBe(false);
        expect(compositions.has(`${prompt.entity} ${prompt.concepts}`)).toBe(false);
        for (const fact of factsOf(dataset, prompt)) expect(shown).toContain(fact);
      }
    }
  });

  it('states single facts only, each in as many wordings as asked for', () => {
    const names = new Set(FIRST_NAMES.map((name) => name.toLowerCase()));
    const seen = new Map<string, number>();
    for (const { text, entity } of stated.texts) {
      const named = wordsOf(text).filter((word) => names.has(word));
      expect(named).toHaveLength(2);
      const value = named.find((name) => name !== entity.toLowerCase())!;
      const labels = stated.concepts.filter(({ label }) => wordsOf(text).includes(label));
      expect(labels).toHaveLength(1);
      expect(text.toLowerCase().endsWith(value)).toBe(true);
      const fact = `${entity} ${labels[0]!.key} ${value}`.toLowerCase();
      seen.set(fact, (seen.get(fact) ?? 0) + 1);
    }
    const facts = stated.facts.map(
      ({ entity, concept, value }) => `${entity} ${stated.concepts[concept]!.key} ${value}`,
    );
    expect(new Set(seen.keys())).toEqual(new Set(facts.map((fact) => fact.toLowerCase())));
    expect(new Set(seen.values())).toEqual(new Set([3]));
  });

  it('gives the same data for the same seed, and other data for another', () => {
    expect(generateTwoHop({ trainShare: 0.1 })).toEqual(bare);
    expect(generateTwoHop({ trainShare: 0.1, seed: 1 }).facts).not.toEqual(bare.facts);
    expect(generateTwoHop({ trainShare: 0.1, factPhrasings: 1 }).facts).toEqual(bare.facts);
  });

  it('words nothing by a name', () => {
    const words = [...FACT_PHRASINGS, ...Object.values(RELATION_LABELS)].flatMap(wordsOf);
    const names = new Set(FIRST_NAMES.map((name) => name.toLowerCase()));
    expect(words.filter((word) => names.has(word) && word !== 'name')).toEqual([]);
  });

  it('refuses settings that leave nothing to hold out, or out of range', () => {
    expect(() => generateTwoHop({ entities: 2, relations: 2, trainShare: 0.1 })).toThrow(
      'trainShare 0.1 leaves no composition to hold out',
    );
    expect(twoHopSettings.safeParse({ relations: 21 }).success).toBe(false);
    expect(twoHopSettings.safeParse({ trainShare: 1 }).success).toBe(false);
  });
});

describe('stepwiseItems', async () => {
  const open = (name: string) => createReadStream(new URL(`../../data/two-hop/${name}`, import.meta.url));
  const { ontology, items } = await openTwoHop({
    facts: open(TWO_HOP_FILES.facts),
    train: open(TWO_HOP_FILES.train),
    validation: open(TWO_HOP_FILES.validation),
  });
  const read: DatasetItem[] = [];
  for await (const item of items) read.push(item);
  const of = <T extends DatasetItem>(all: readonly DatasetItem[], type: T['type']) =>
    all.filter((item): item is T => item.type === type);
  const facts = of<FactItem>(read, 'fact');
  const prompts = of<PromptItem>(read, 'prompt');
  const stepwise = [...stepwiseItems(ontology.concepts, facts, prompts)];

  it('puts E2 before the published answers and leaves all else as it is', () => {
    const asked = of<PromptItem>(stepwise, 'prompt');
    expect(asked.map(({ answer: _, ...rest }) => rest)).toEqual(
      prompts.map(({ answer: _, ...rest }) => rest),
    );
    expect(asked.every(({ answer }, i) => answer!.endsWith(` ${prompts[i]!.answer}`))).toBe(true);
    expect(asked[0]!.answer).toBe('Dominic Gerald');
    expect([...stepwiseItems(ontology.concepts, facts, asked)]).toEqual(stepwise);
  });

  it('states each fact in every wording', () => {
    const texts = of<TextItem>(stepwise, 'text');
    expect(texts).toHaveLength(800 * FACT_PHRASINGS.length);
    expect(texts[0]!.text).toBe('The boss of Ashley is Donna');
    expect(of<FactItem>(stepwise, 'fact')).toEqual(facts);
  });

  it('names a question whose facts are missing', () => {
    expect(() => [...stepwiseItems(ontology.concepts, [], prompts.slice(0, 1))]).toThrow(
      'no fact for the first hop of "Who is the friend of the report of Avery?"',
    );
  });
});

import { describe, expect, it } from 'vitest';
import {
  BIOGRAPHY_ONTOLOGY,
  generateBiographies,
  MAX_PEOPLE,
  personNames,
} from '../../src/data/biography.ts';
import { BIOGRAPHY_PHRASINGS } from '../../src/data/biography-phrasings.ts';
import * as vocabulary from '../../src/data/vocabulary.ts';
import { SPLITS } from '../../src/engine/contract/dataset.ts';
import { createRandom } from '../../src/random.ts';

const wordsOf = (text: string): string[] => text.toLowerCase().match(/\w+|[^\w\s]/g) ?? [];
const dataset = generateBiographies({ people: 100, seed: 0 });
const keyOf = (index: number) => dataset.concepts[index]!.key;

describe('generateBiographies', () => {
  it('has the sizes of the recipe', () => {
    expect(dataset.concepts.map((concept) => concept.key)).toEqual([
      'birth_date',
      'birth_city',
      'university',
      'major',
      'employer',
      'work_city',
    ]);
    expect(dataset.facts).toHaveLength(600);
    expect(dataset.texts).toHaveLength(1800);
    const sizes = SPLITS.map((split) => dataset.prompts.filter((prompt) => prompt.split === split).length);
    expect(sizes).toEqual([4800, 1200, 2400]);
    expect(new Set(dataset.prompts.map((prompt) => prompt.prompt)).size).toBe(8400);
    expect(new Set(dataset.prompts.map((prompt) => prompt.id)).size).toBe(8400);
  });

  it('gives the same dataset for the same seed and another for another', () => {
    expect(generateBiographies({ people: 100, seed: 0 })).toEqual(dataset);
    const other = generateBiographies({ people: 100, seed: 1 });
    const shared = dataset.facts.filter((fact, i) => fact.value === other.facts[i]!.value).length;
    expect(shared).toBeLessThan(60);
  });

  it('answers every prompt with the entity’s fact, under a name for its phrasing', () => {
    const facts = new Map(dataset.facts.map((fact) => [`${fact.entity}/${fact.concept}`, fact.value]));
    for (const prompt of dataset.prompts) {
      expect(prompt.concepts).toHaveLength(1);
      expect(prompt.answer).toBe(facts.get(`${prompt.entity}/${prompt.concepts[0]}`));
      expect(prompt.prompt.endsWith(` of ${prompt.entity}`)).toBe(true);
      expect(prompt.template.startsWith(`${keyOf(prompt.concepts[0]!)}/${prompt.split.toLowerCase()}-`)).toBe(
        true,
      );
    }
    const frames = new Map<string, Set<string>>();
    for (const { template, prompt, entity } of dataset.prompts) {
      frames.set(template, (frames.get(template) ?? new Set()).add(prompt.replace(entity, '_')));
    }
    expect(frames.size).toBe(6 * 14);
    for (const frame of frames.values()) expect(frame.size).toBe(1);
  });

  it('states every fact in texts that begin with whom they are about', () => {
    const stated = new Set(dataset.texts.map((text) => `${text.entity}|${text.text}`));
    expect(stated.size).toBe(1800);
    for (const { text, entity } of dataset.texts) expect(text).toContain(entity);
    for (const { entity, value } of dataset.facts) {
      const texts = dataset.texts.filter((text) => text.entity === entity && text.text.includes(value));
      expect(texts.length).toBeGreaterThanOrEqual(3);
      for (const { text } of texts) expect(text.indexOf(entity)).toBeLessThan(text.lastIndexOf(value));
    }
  });

  it('lets the work city follow from the employer', () => {
    const valuesOf = (key: string) => dataset.facts.filter((fact) => keyOf(fact.concept) === key);
    const employers = valuesOf('employer');
    const cities = new Map<string, Set<string>>();
    for (const [i, city] of valuesOf('work_city').entries()) {
      const employer = employers[i]!;
      expect(employer.entity).toBe(city.entity);
      cities.set(employer.value, (cities.get(employer.value) ?? new Set()).add(city.value));
    }
    expect(cities.size).toBeGreaterThan(30);
    for (const city of cities.values()) expect(city.size).toBe(1);
  });

  it('writes dates as three words', () => {
    for (const fact of dataset.facts.filter((f) => keyOf(f.concept) === 'birth_date')) {
      expect(fact.value).toMatch(/^[A-Z][a-z]+ ([1-9]|1\d|2[0-8]) 19[6-9]\d$/);
    }
  });

  it('names up to 100,000 people differently, each by two words', () => {
    const names = [...personNames(MAX_PEOPLE, createRandom(0))];
    expect(new Set(names).size).toBe(100_000);
    expect(names.every((name) => name.split(' ').length === 2)).toBe(true);
    for (const people of [1, 2, 3, 5, 17]) {
      expect(new Set(generateBiographies({ people, seed: 0 }).facts.map((f) => f.entity)).size).toBe(people);
    }
  });

  it('refuses other numbers of people, saying which it accepts', () => {
    for (const people of [0, -1, 1.5, Number.NaN, 100_001]) {
      expect(() => generateBiographies({ people, seed: 0 })).toThrow(
        `people must be an integer from 1 to 100000, got ${people}`,
      );
    }
  });
});

describe('wording', () => {
  it('has 8 training, 2 validation and 4 held-out questions and 3 texts a concept, none twice', () => {
    expect(Object.keys(BIOGRAPHY_PHRASINGS)).toEqual(BIOGRAPHY_ONTOLOGY.concepts.map((c) => c.key));
    const all = Object.values(BIOGRAPHY_PHRASINGS).flatMap(({ questions, texts }) => {
      expect(SPLITS.map((split) => questions[split].length)).toEqual([8, 2, 4]);
      expect(texts).toHaveLength(3);
      return [...SPLITS.flatMap((split) => questions[split]), ...texts];
    });
    expect(new Set(all).size).toBe(all.length);
  });

  it('asks held-out questions in words that the concept’s training questions use', () => {
    for (const { questions } of Object.values(BIOGRAPHY_PHRASINGS)) {
      const known = new Set(questions.TRAIN.flatMap(wordsOf));
      const heldOut = [...questions.VALIDATION, ...questions.TEST_OOD].flatMap(wordsOf);
      expect(heldOut.filter((word) => !known.has(word))).toEqual([]);
    }
  });

  it('uses no word for two purposes', () => {
    const { FIRST_NAMES, LAST_NAMES, CITIES, UNIVERSITIES, MAJORS, EMPLOYERS, MONTHS } = vocabulary;
    const purposes = [
      FIRST_NAMES,
      LAST_NAMES,
      CITIES,
      MONTHS,
      [...UNIVERSITIES, ...MAJORS, ...EMPLOYERS].map((value) => value.split(' ')[0]!),
      Object.values(BIOGRAPHY_PHRASINGS).flatMap(({ questions, texts }) =>
        [...SPLITS.flatMap((split) => questions[split]), ...texts].flatMap((p) =>
          wordsOf(p.replace(/\{.*?\}/g, '')),
        ),
      ),
    ];
    const seen = new Map<string, number>();
    for (const [purpose, list] of purposes.entries()) {
      for (const word of list.map((w) => w.toLowerCase())) {
        expect([word, seen.get(word) ?? purpose]).toEqual([word, purpose]);
        seen.set(word, purpose);
      }
    }
    for (const list of [FIRST_NAMES, LAST_NAMES, CITIES, UNIVERSITIES, MAJORS, EMPLOYERS]) {
      expect(new Set(list).size).toBe(list.length);
    }
  });
});

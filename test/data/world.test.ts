import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { sameAnswer } from '../../src/data/answers.ts';
import type { FactItem, PromptItem } from '../../src/data/items.ts';
import { longText, promptedFields, shortText } from '../../src/data/text.ts';
import { readWorld, readWorldDataset, worldSettings, worldSubject } from '../../src/data/world.ts';

const read = (settings: Parameters<typeof worldSettings.parse>[0]) =>
  readWorld(worldSettings.parse(settings));

describe.each(worldSubject.options)('%s', (subject) => {
  test('has what every importer would accept, each answer once', async () => {
    const { items, prefix } = await read({ subject });
    expect(promptedFields.prefix.parse(prefix)).toBe(prefix);
    const isClean = (schema: typeof shortText, text: string) => schema.safeParse(text).data === text;
    const bad = items.filter((item) => {
      if (item.type === 'fact') return !isClean(shortText, item.entity) || !isClean(shortText, item.value);
      if (item.type === 'text') return true;
      const answers = [item.answer!, ...(item.otherAnswers ?? [])];
      const isTwice = answers.some((answer, i) =>
        answers.slice(0, i).some((other) => sameAnswer(other, answer)),
      );
      return !isClean(longText, item.prompt) || isTwice;
    });
    expect(bad).toEqual([]);
  });

  test('asks every entity seven times and holds three phrasings out, no phrasing in two relations', async () => {
    const { ontology, items, entities } = await read({ subject });
    const prompts = items.filter((item): item is PromptItem => item.type === 'prompt');
    expect(new Set(prompts.map(({ entity }) => entity)).size).toBe(entities);
    const templates = new Map<string, Set<string>>();
    for (const { key } of ontology.concepts) {
      const own = prompts.filter(({ concepts }) => concepts[0] === key);
      for (const entity of new Set(own.map((prompt) => prompt.entity))) {
        const asked = own.filter((prompt) => prompt.entity === entity);
        expect(asked.map(({ split }) => split)).toEqual([
          ...Array(7).fill('TRAIN'),
          ...Array(3).fill('TEST_OOD'),
        ]);
        expect(asked.map(({ prompt }) => prompt)).toEqual(
          asked.map(({ template }) => template.replace('{x}', entity)),
        );
      }
      templates.set(key, new Set(own.map(({ template }) => template)));
    }
    const all = [...templates.values()].flatMap((own) => [...own]);
    expect(all).toHaveLength(50);
    expect(new Set(all).size).toBe(50);
  });

  test('asks nothing of what the prefix tells', async () => {
    const { items, prefix } = await read({ subject });
    const entities = new Set(items.map(({ entity }) => entity));
    const { shots } = JSON.parse(
      await readFile(
        new URL(`../../data/world/${subject.toLowerCase()}-prompts.json`, import.meta.url),
        'utf8',
      ),
    );
    for (const shot of shots) {
      expect(prefix.toLowerCase()).toContain(shot.toLowerCase());
      expect(entities).not.toContain(shot);
    }
    expect(prefix.endsWith('.\n')).toBe(true);
  });

  test('is the same for the same seed, and other entities for another', async () => {
    const draw = (seed: number) => read({ subject, entities: 5, seed });
    const [once, again, other] = [await draw(1), await draw(1), await draw(2)];
    expect(again).toEqual(once);
    const entities = ({ items }: typeof once) => [...new Set(items.map(({ entity }) => entity))];
    expect(entities(once)).toHaveLength(5);
    expect(entities(other)).not.toEqual(entities(once));
  });

  test('draws fewer of the same when fewer are wanted', async () => {
    const entities = async (count: number) => {
      const { items } = await read({ subject, entities: count });
      return [...new Set(items.map(({ entity }) => entity))];
    };
    expect(await entities(6)).toEqual((await entities(40)).slice(0, 6));
  });
});

test('a fact of several values is several facts, the usual one first', async () => {
  const { items } = await read({});
  const of = items.filter(({ entity }) => entity === 'Afghanistan');
  const languages = of.filter(
    (item): item is FactItem => item.type === 'fact' && item.concept === 'language',
  );
  expect(languages.map(({ value }) => value)).toEqual(['Dari', 'Pashto', 'Turkmen']);
  const asked = of.find((item) => item.type === 'prompt' && item.concepts[0] === 'language');
  expect(asked).toMatchObject({ answer: 'Dari', otherAnswers: ['Pashto', 'Turkmen'] });
  expect(of.some((item) => item.type === 'fact' && item.concept === 'currency')).toBe(false);
});

test('in memory it is what the items say, with how it is put to a model', async () => {
  const dataset = await readWorldDataset({ entities: 5 });
  const { prefix, items, ontology } = await read({ entities: 5 });
  expect(dataset).toMatchObject({ prefix, answerEnd: '.' });
  expect(dataset.concepts.map(({ key }) => key)).toEqual(ontology.concepts.map(({ key }) => key));
  expect(dataset.prompts.length + dataset.facts.length).toBe(items.length);
});

test('refuses more entities than there are, with how many that is', async () => {
  await expect(read({ entities: 183 })).rejects.toMatchObject({
    issues: [{ path: ['entities'], message: 'there are 182 countries besides those in the prefix; got 183' }],
  });
});

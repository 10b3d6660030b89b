/** Facts of the real world as prompts, of the files in `data/world`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EngineDataset, Fact, Prompt } from '../../src/engine/contract/dataset.ts';

interface PromptsFile {
  /** What stands before every prompt. */
  prefix: string;
  /** The countries that it speaks of, which are asked nothing. */
  shots: string[];
  /** By relation; `{x}` stands for the country. */
  phrasings: Record<string, Record<'train' | 'held_out', string[]>>;
}

interface Country {
  id: string;
  name: string;
  /** By relation, the usual value first. */
  facts: Record<string, string[]>;
}

/** What ends an answer of a model that nobody fine-tuned. */
export const ANSWER_END = '.';

/** Every country in every phrasing; training phrasings are TRAIN, held-out ones TEST_OOD. */
export async function readCountries(directory: string): Promise<EngineDataset> {
  const read = (name: string) => readFile(join(directory, name), 'utf8');
  const { prefix, shots, phrasings } = JSON.parse(await read('countries-prompts.json')) as PromptsFile;
  const lines = (await read('countries.jsonl')).split('\n').filter((line) => line !== '');
  const countries = lines
    .map((line) => JSON.parse(line) as Country)
    .filter(({ name }) => !shots.includes(name));
  const relations = Object.keys(phrasings);
  const facts: Fact[] = [];
  const prompts: Prompt[] = [];
  for (const { id, name, facts: values } of countries)
    for (const [concept, relation] of relations.entries()) {
      const [answer, ...otherAnswers] = values[relation] ?? [];
      if (answer === undefined) continue;
      facts.push(...[answer, ...otherAnswers].map((value) => ({ entity: name, concept, value })));
      const { train, held_out } = phrasings[relation]!;
      const said = [
        ...train.map((text) => ({ text, split: 'TRAIN' as const })),
        ...held_out.map((text) => ({ text, split: 'TEST_OOD' as const })),
      ];
      for (const [i, { text, split }] of said.entries())
        prompts.push({
          ...{ id: `${id} ${relation} ${i}`, prompt: text.replaceAll('{x}', name), answer, otherAnswers },
          ...{ entity: name, concepts: [concept], template: `${relation} ${i}`, split },
        });
    }
  const concepts = relations.map((key) => ({ key, label: key }));
  return { prefix, answerEnd: ANSWER_END, concepts, facts, prompts, texts: [] };
}

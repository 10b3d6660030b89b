/** What the model answers right by itself. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { EngineDataset, Prompt } from '../../src/engine/contract/dataset.ts';
import { Knowledge } from '../../src/engine/edits/knowledge.ts';
import type { LanguageModel } from '../../src/engine/model/languageModel.ts';

const AT_ONCE = 128;
/** Training phrasings by which a fact counts as known: that it answers most of them right. */
const ASKED = 3;
/** Known relations that an entity needs, for something to be swapped for something. */
const LEAST = 2;

/** Whether the model answers prompts right, whole answers; what was asked once is kept in the file. */
export async function openKnowledge(model: LanguageModel, file: string) {
  const kept = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as Record<string, boolean>;
  const knowledge = new Knowledge(model, async () => {});
  const isRight = ({ prompt }: Prompt) => kept[prompt]!;
  return {
    isRight,
    /** Asks those prompts that were not asked yet. */
    async ask(prompts: readonly Prompt[]): Promise<void> {
      const open = prompts.filter(({ prompt }) => kept[prompt] === undefined);
      for (let start = 0; start < open.length; start += AT_ONCE) {
        const batch = open.slice(start, start + AT_ONCE);
        await knowledge.ask(batch);
        for (const prompt of batch) kept[prompt.prompt] = knowledge.knows(prompt);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, JSON.stringify(kept));
      }
    },
  };
}
export type KeptKnowledge = Awaited<ReturnType<typeof openKnowledge>>;

/** One text of so many stays where less is learned. */
const EVERY = 4;

/** The dataset with a third of the training phrasings, of which all prompts were asked, and fewer texts. */
export function lessOf(dataset: EngineDataset): EngineDataset {
  const templates = new Map<number, string[]>();
  const isKept = ({ split, template, concepts }: Prompt) => {
    if (split !== 'TRAIN') return true;
    const own = templates.get(concepts[0]!) ?? [];
    templates.set(concepts[0]!, own);
    if (!own.includes(template)) own.push(template);
    return own.indexOf(template) % ASKED === 0;
  };
  return {
    ...dataset,
    prompts: dataset.prompts.filter(isKept),
    texts: dataset.texts.filter((_, i) => i % EVERY === 0),
  };
}

/** The dataset without what the model does not know, and the share of each concept's facts that it knows. */
export async function knownPart(
  dataset: EngineDataset,
  knowledge: KeptKnowledge,
): Promise<{ dataset: EngineDataset; shares: Record<string, number> }> {
  const pairs = new Map<string, Prompt[]>();
  for (const prompt of dataset.prompts.filter(({ split }) => split === 'TRAIN')) {
    const key = `${prompt.concepts[0]} ${prompt.entity}`;
    pairs.set(key, [...(pairs.get(key) ?? []), prompt]);
  }
  // Spread over the phrasings.
  const asked = new Map(
    [...pairs].map(([key, own]) => [key, own.filter((_, i) => i % Math.ceil(own.length / ASKED) === 0)]),
  );
  await knowledge.ask([...asked.values()].flat());
  const knows = new Set(
    [...asked].filter(([, own]) => own.filter(knowledge.isRight).length * 2 > own.length).map(([key]) => key),
  );
  const counts = new Map<string, number>();
  for (const [key, own] of pairs)
    if (knows.has(key)) {
      const { entity } = own[0]!;
      counts.set(entity, (counts.get(entity) ?? 0) + 1);
    }
  const isKnown = (entity: string, concept: number) =>
    knows.has(`${concept} ${entity}`) && (counts.get(entity) ?? 0) >= LEAST;
  const shareOf = (concept: number) => {
    const all = [...pairs.keys()].filter((key) => key.startsWith(`${concept} `));
    return all.filter((key) => knows.has(key)).length / all.length;
  };
  return {
    shares: Object.fromEntries(dataset.concepts.map(({ key }, concept) => [key, shareOf(concept)])),
    dataset: {
      ...dataset,
      prompts: dataset.prompts.filter(({ entity, concepts }) => isKnown(entity, concepts[0]!)),
      facts: dataset.facts.filter(({ entity, concept }) => isKnown(entity, concept)),
    },
  };
}

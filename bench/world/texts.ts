/** Plain text, which asks nothing: some to keep slots silent on, and other, the licence of the data, to see whether they are. */
import { readdir, readFile } from 'node:fs/promises';
import type { Text } from '../../src/engine/contract/dataset.ts';

/** Characters of a paragraph that is more than a heading, and those of which is read. */
const LEAST = 60;
const MOST = 500;

const ROOT = new URL('../../', import.meta.url);

/** About 30,000 tokens of the repository's documentation, and 4,600 of the licence. */
export async function readTexts(): Promise<{ quiet: Text[]; judged: string[] }> {
  const docs = (await readdir(new URL('docs/', ROOT))).filter((name) => name.endsWith('.md')).sort();
  const files = ['ARCHITECTURE.md', 'README.md', ...docs.map((name) => `docs/${name}`)];
  const documents = await Promise.all(files.map((name) => readFile(new URL(name, ROOT), 'utf8')));
  const quiet = documents
    .flatMap(paragraphsOf)
    .map((text, i): Text => ({ id: String(i), text, entity: 'nobody', split: 'TRAIN' }));
  const licence = await readFile(new URL('data/world/LICENSE-countries.txt', ROOT), 'utf8');
  return { quiet, judged: paragraphsOf(licence) };
}

function paragraphsOf(document: string): string[] {
  return document
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter(({ length }) => length >= LEAST)
    .map((paragraph) => paragraph.slice(0, MOST));
}

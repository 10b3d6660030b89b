/** Plain text, which asks nothing: some to keep slots silent on, and other, the licence of the data, to see whether they are. */
import { readFile } from 'node:fs/promises';
import type { Text } from '../../src/engine/contract/dataset.ts';

/** Characters of a paragraph that is more than a heading, and those of which is read. */
const LEAST = 60;
const MOST = 500;

export async function readTexts(): Promise<{ quiet: Text[]; judged: string[] }> {
  const licence = await readFile(new URL('../../data/world/LICENSE-countries.txt', import.meta.url), 'utf8');
  const readme = await readFile(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
  const split = (text: string) =>
    text
      .split(/\n\s*\n/)
      .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
      .filter(({ length }) => length >= LEAST)
      .map((paragraph) => paragraph.slice(0, MOST));
  const quiet = split(readme).map(
    (text, i): Text => ({ id: String(i), text, entity: 'nobody', split: 'TRAIN' }),
  );
  return { quiet, judged: split(licence) };
}

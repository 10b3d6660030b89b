/** Text that every checkout has: what the packages it depends on say of themselves. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = fileURLToPath(new URL('../../node_modules', import.meta.url));
/** Of one file, so that no package's changelog is half of the text. */
const MAX_CHARACTERS = 50_000;

/** Markdown files of installed packages, each a document, in the order of their names. */
export async function* documents(): AsyncGenerator<string> {
  const entries = await readdir(PACKAGES, { recursive: true });
  for (const name of entries.filter((entry) => /\.md$/i.test(entry)).sort()) {
    const text = await readFile(join(PACKAGES, name), 'utf8').catch(() => '');
    if (text.trim() !== '') yield text.slice(0, MAX_CHARACTERS);
  }
}

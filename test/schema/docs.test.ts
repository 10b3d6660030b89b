import { access, readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Kind, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { buildSchema } from '../../src/schema/schema.ts';

const ROOT = new URL('../../', import.meta.url);

/** Every page for readers, by its path from the root. */
async function readPages(): Promise<Map<string, string>> {
  const docs = (await readdir(new URL('docs/', ROOT))).filter((name) => name.endsWith('.md'));
  const paths = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', ...docs.map((name) => `docs/${name}`)];
  const texts = await Promise.all(paths.map((path) => readFile(new URL(path, ROOT), 'utf8')));
  return new Map(paths.map((path, i) => [path, texts[i]!]));
}

it('every operation that a page shows is one that the API takes', async () => {
  const schema = buildSchema();
  const wrong: string[] = [];
  let shown = 0;
  for (const [path, text] of await readPages())
    for (const [, block] of text.matchAll(/```graphql\n([\s\S]*?)```/g))
      for (const definition of parse(block!).definitions) {
        shown++;
        const errors = validate(schema, { kind: Kind.DOCUMENT, definitions: [definition] });
        wrong.push(...errors.map(({ message }) => `${path}: ${message}`));
      }
  expect(wrong).toEqual([]);
  expect(shown).toBeGreaterThan(12);
});

it('every link of a page leads to a file, and to a heading that it has', async () => {
  const pages = await readPages();
  const broken: string[] = [];
  for (const [path, text] of pages)
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const [file = '', anchor] = link!.split('#');
      const target = file === '' ? new URL(path, ROOT) : new URL(file, new URL(path, ROOT));
      const found = await access(fileURLToPath(target)).then(
        () => true,
        () => false,
      );
      const page = pages.get(target.href.slice(ROOT.href.length));
      if (!found || (anchor && page !== undefined && !headingsOf(page).includes(anchor)))
        broken.push(`${path}: ${link}`);
    }
  expect(broken).toEqual([]);
});

/** As they are named in addresses. */
function headingsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

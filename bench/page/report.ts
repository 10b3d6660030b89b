/** What was measured of the page, as a section of docs/benchmarks.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { keptSection, sectionOf } from '../section.ts';
import { describeMachine } from '../speed/results.ts';
import { markdownTable } from '../speed/table.ts';
import type { ViewTime } from './views.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

/** What it was to be, and what it is. */
export interface Figure {
  what: string;
  aim: string;
  is: string;
}

export async function writePageReport(figures: readonly Figure[], views: readonly ViewTime[]): Promise<void> {
  const load = loadavg()[0]!.toFixed(1);
  const text = [
    '## The page',
    `Written by \`npm run bench:page\`: Debian's Chromium on the server that it looks at, both on ${describeMachine()}, with 1,000
runs in the database; load average at the end ${load} (the browser, the server and Postgres alone make about 1).`,
    markdownTable(
      ['what', 'aim', 'measured'],
      figures.map(({ what, aim, is }) => [what, aim, is]),
    ),
    'Over HTTP, one after the other, medians of 21; of each view its slowest query, to be answered within 50 ms:',
    markdownTable(
      ['view', 'slowest query', 'ms'],
      views.map(({ view, query, medianMs }) => [view, query, medianMs.toFixed(1)]),
    ),
  ].join('\n\n');
  const before = await readFile(DOCUMENT, 'utf8');
  const rest = before.replace(keptSection(before, 'page'), '').trimEnd();
  await writeFile(DOCUMENT, `${rest}\n\n${sectionOf('page', text)}\n`);
}

/**
 * The report's parts: what was measured of each lies in `.data/results` as JSON, a file a study, and is rendered into
 * the part's place in docs/results.md; a part that is not measured again keeps its text.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';

export const PARTS = ['one-hop', 'two-hop'] as const;
export type Part = (typeof PARTS)[number];

const REPORT = new URL('../../docs/results.md', import.meta.url);

/** What stands above a part: where and when its figures were measured. */
export interface Circumstances {
  machine: string;
  backend: string;
  minutes: number;
}

export interface Parts {
  /** Keeps a study by its name; one that was there before is replaced. */
  keep(part: Part, name: string, study: object): Promise<void>;
  /** All studies of a part that are kept, by name. */
  read<T>(part: Part): Promise<T[]>;
  /** Puts a part's text in its place in the report. */
  write(part: Part, text: string, circumstances: Circumstances): Promise<void>;
}

/** Where studies are kept and the report is written; a trial leaves both alone and has its own, beside each other. */
export function openParts(trial: boolean): Parts {
  const store = new URL(trial ? '../../.data/results-trial/' : '../../.data/results/', import.meta.url);
  const report = trial ? new URL('results.md', store) : REPORT;
  const dirOf = (part: Part) => new URL(`${part}/`, store);
  return {
    async keep(part, name, study) {
      await mkdir(dirOf(part), { recursive: true });
      await writeFile(new URL(`${name}.json`, dirOf(part)), `${JSON.stringify(study)}\n`);
    },
    async read<T>(part: Part) {
      const found = await readdir(dirOf(part)).catch(() => []);
      const names = found.filter((name) => name.endsWith('.json')).sort();
      const texts = await Promise.all(names.map((name) => readFile(new URL(name, dirOf(part)), 'utf8')));
      return texts.map((text) => JSON.parse(text) as T);
    },
    async write(part, text, { machine, backend, minutes }) {
      const measured = `Measured by \`npm run results -- --only ${part}\` on ${machine}; ${backend}; the last run of it took ${minutes.toFixed(0)} minutes.`;
      const [title = '', ...rest] = text.split('\n\n');
      const before = await readFile(report, 'utf8').catch(() => readFile(REPORT, 'utf8'));
      await writeFile(report, replacePart(before, part, [title, measured, ...rest].join('\n\n')));
    },
  };
}

/** @throws Error when the report has no place for the part. */
function replacePart(report: string, part: Part, text: string): string {
  const [open, close] = [`<!-- ${part} -->\n`, `<!-- /${part} -->\n`];
  const [start, end] = [report.indexOf(open), report.indexOf(close)];
  if (start < 0 || end < start)
    throw new Error(`docs/results.md has no lines ${open.trim()} … ${close.trim()}`);
  return `${report.slice(0, start + open.length)}\n${text}\n\n${report.slice(end)}`;
}

/**
 * The report's parts: what was measured of each lies in `.data/results` as JSON, a file a study, and is rendered into
 * the part's place in docs/results.md; a part that is not measured again keeps its text.
 */
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';

/** `front` is not measured: it tells the others in short. */
export const PARTS = ['one-hop', 'people', 'smollm2', 'two-hop', 'grokking'] as const;
export type Part = (typeof PARTS)[number];

const REPORT = new URL('../../docs/results.md', import.meta.url);

/** What stands above a part: where and when its figures were measured. */
export interface Circumstances {
  machine: string;
  backend: string;
  minutes: number;
  /** Load of the machine over the last quarter of an hour, at the end; 1 is one busy core. */
  load: number;
}

export interface Parts {
  /** Where charts go. */
  images: URL;
  /** Whether a study is kept by this name. */
  has(part: Part, name: string): Promise<boolean>;
  /** Keeps a study by its name; one that was there before is replaced. */
  keep(part: Part, name: string, study: object): Promise<void>;
  /** The study that is kept by this name; null where there is none. */
  find<T>(part: Part, name: string): Promise<T | null>;
  /** Puts a part's text in its place in the report. */
  write(part: Part, text: string, circumstances: Circumstances): Promise<void>;
  /** Puts the first page in its place. */
  writeFront(text: string): Promise<void>;
}

/** Where studies are kept and the report is written; a trial leaves both alone and has its own, beside each other. */
export function openParts(trial: boolean): Parts {
  const store = new URL(trial ? '../../.data/results-trial/' : '../../.data/results/', import.meta.url);
  const report = trial ? new URL('results.md', store) : REPORT;
  const dirOf = (part: Part) => new URL(`${part}/`, store);
  const put = async (part: Part | 'front', text: string) => {
    const before = await readFile(report, 'utf8').catch(() => readFile(REPORT, 'utf8'));
    await mkdir(new URL('.', report), { recursive: true });
    await writeFile(report, replacePart(before, part, text));
  };
  return {
    images: trial ? new URL('images/', store) : new URL('images/', REPORT),
    has: (part, name) =>
      access(new URL(`${name}.json`, dirOf(part))).then(
        () => true,
        () => false,
      ),
    writeFront: (text) => put('front', text),
    async keep(part, name, study) {
      await mkdir(dirOf(part), { recursive: true });
      await writeFile(new URL(`${name}.json`, dirOf(part)), `${JSON.stringify(study)}\n`);
    },
    async find<T>(part: Part, name: string) {
      const text = await readFile(new URL(`${name}.json`, dirOf(part)), 'utf8').catch(() => null);
      return text === null ? null : (JSON.parse(text) as T);
    },
    async write(part, text, { machine, backend, minutes, load }) {
      const measured = `Measured by \`npm run results -- --only ${part}\` on ${machine}; ${backend}; ${minutes.toFixed(0)} minutes in all, at a load of up to ${load.toFixed(0)}, which tells in every time.`;
      const [title = '', ...rest] = text.split('\n\n');
      await put(part, [title, measured, ...rest].join('\n\n'));
    },
  };
}

/** @throws Error when the report has no place for the part. */
function replacePart(report: string, part: Part | 'front', text: string): string {
  const [open, close] = [`<!-- ${part} -->\n`, `<!-- /${part} -->\n`];
  const [start, end] = [report.indexOf(open), report.indexOf(close)];
  if (start < 0 || end < start)
    throw new Error(`docs/results.md has no lines ${open.trim()} … ${close.trim()}`);
  return `${report.slice(0, start + open.length)}\n${text}\n\n${report.slice(end)}`;
}

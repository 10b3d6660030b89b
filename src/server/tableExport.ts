/** `/export/runs/{global id}/{name}.{jsonl|csv}`: a table of results, page by page. */
import { invalidInput } from '../errors.ts';
import type { Context } from '../schema/context.ts';
import { EXPORT_FORMATS, type ExportFormat, findExport, readExport } from '../services/export.ts';
import { getRun } from '../services/run.ts';
import { type ExportFile, runIdOf } from './exportFile.ts';
import { createEncoder, type Encoder } from './exportFormat.ts';

const PATH = /^\/export\/runs\/([^/]+)\/([\w-]+)\.(\w+)$/;

/** The table at this path; null when the path is none of a table's. @throws AppError */
export async function openTable(path: string, { db }: Context): Promise<ExportFile | null> {
  const [, id, name, format] = PATH.exec(path) ?? [];
  if (id === undefined) return null;
  if (!isFormat(format!))
    throw invalidInput(
      ['format'],
      `"${format}" is not a format of exports; accepted is ${EXPORT_FORMATS.join(' or ')}`,
    );
  const run = await getRun(db, runIdOf(id));
  const table = findExport(run, name!);
  const encoder = createEncoder(format, table);
  return {
    of: { runId: run.id },
    name: `${run.kind.toLowerCase().replaceAll('_', '-')}-${run.id.slice(0, 8)}-${name}.${format}`,
    contentType: encoder.contentType,
    content: () => encodePages(encoder, readExport(db, run.id, table)),
  };
}

async function* encodePages(
  { head, encode }: Encoder,
  pages: AsyncIterable<Record<string, unknown>[]>,
): AsyncGenerator<string> {
  if (head) yield head;
  for await (const rows of pages) yield encode(rows);
}

function isFormat(text: string): text is ExportFormat {
  return (EXPORT_FORMATS as readonly string[]).includes(text);
}

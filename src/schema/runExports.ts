/** Where a run's results can be taken out as files. */
import { EXPORT_FORMATS, type ExportFormat, exportsOf } from '../services/export.ts';
import type { Run } from '../services/run.ts';
import { builder } from './builder.ts';
import { encodeGlobalId, typenameOf } from './ids.ts';

interface ExportFile {
  name: string;
  description: string;
  format: ExportFormat;
  url: string;
}

const ExportFormatRef = builder.enumType('ExportFormat', {
  description: 'How a file of results is written.',
  values: {
    JSONL: {
      value: 'jsonl',
      description: 'JSON Lines: one object a row, exact. Numbers that are not finite are null.',
    },
    CSV: {
      value: 'csv',
      description:
        'RFC 4180 with a header. Text that a spreadsheet would take for a formula (it begins with =, +, -, @, tab or return) has a quote mark in front; nested values are JSON.',
    },
  } as const,
});

export const ExportFileRef = builder.objectRef<ExportFile>('ExportFile').implement({
  description: 'Results of a run as a file, streamed in the order of work, as far as the run has come.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'What it holds, such as `metrics`.' }),
    description: t.exposeString('description', { description: 'What it holds, in words.' }),
    format: t.field({
      type: ExportFormatRef,
      description: 'How it is written.',
      resolve: (file) => file.format,
    }),
    url: t.exposeString('url', {
      description:
        'Address on this server, from its root. Read it with GET and the same `Authorization` header as the API; it needs the scope READ.',
    }),
  }),
});

/** All that a run has. */
export function exportFilesOf({ kind, id }: Run): ExportFile[] {
  const address = `/export/runs/${encodeURIComponent(encodeGlobalId(typenameOf(kind), id))}`;
  return exportsOf(kind).flatMap(({ name, table: { description } }) =>
    EXPORT_FORMATS.map((format) => ({ name, description, format, url: `${address}/${name}.${format}` })),
  );
}

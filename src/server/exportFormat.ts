/** Rows of results as text: JSON Lines, which is exact, and CSV, which opens in spreadsheets. */
import { encodeGlobalId, typenameOf } from '../schema/ids.ts';
import type { Column, ExportFormat, ResultTable } from '../services/export.ts';
import type { Run } from '../services/run.ts';

type Row = Record<string, unknown>;

/** Without it Excel takes a CSV file for one in the system's code page, and "Zürich" for "ZÃ¼rich". */
const BYTE_ORDER_MARK = '\uFEFF';

export interface Encoder {
  contentType: string;
  /** What stands before the rows. */
  head: string;
  encode(rows: readonly Row[]): string;
}

export function createEncoder(format: ExportFormat, { columns }: ResultTable): Encoder {
  const entries = Object.entries(columns);
  if (format === 'jsonl') {
    const line = (row: Row) =>
      `${JSON.stringify(Object.fromEntries(entries.map(([name, c]) => [name, shown(row, name, c)])))}\n`;
    return {
      contentType: 'application/x-ndjson; charset=utf-8',
      head: '',
      encode: (rows) => rows.map(line).join(''),
    };
  }
  const line = (row: Row) => `${entries.map(([name, c]) => cell(shown(row, name, c))).join(',')}\r\n`;
  return {
    contentType: 'text/csv; charset=utf-8; header=present',
    head: `${BYTE_ORDER_MARK}${entries.map(([name]) => name).join(',')}\r\n`,
    encode: (rows) => rows.map(line).join(''),
  };
}

/** As JSON knows it; a number that is not finite is null. */
function shown(row: Row, name: string, { type, from }: Column): unknown {
  const value = from ? from(row) : row[name];
  if (value === null || value === undefined) return null;
  if (type === 'number') return Number.isFinite(Number(value)) ? Number(value) : null;
  if (type === 'time') return new Date(value as string).toISOString();
  if (type === 'run id') return encodeGlobalId(typenameOf(row[`${name}Kind`] as Run['kind']), String(value));
  return type.startsWith('id ') ? encodeGlobalId(type.slice(3), String(value)) : value;
}

/** Text that a spreadsheet takes for a formula, and may run. */
const FORMULA = /^[=+\-@\t\r]/;

/** RFC 4180. A quote mark before what looks like a formula makes it text; numbers stay as they are. */
function cell(value: unknown): string {
  if (value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

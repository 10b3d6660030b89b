/** What a run came to, without what differs from run to run although the numbers are the same. */
import type { ApiClient } from '../../src/demo/client.ts';

export type Row = Record<string, unknown>;

export interface Figures {
  status: string;
  /** Rows of every export but the events, by its name, in an order of their own. */
  tables: Record<string, Row[]>;
}

const VOLATILE = /^(at|seq|etaSeconds|run|part|type|phase|progress|status|level|message|cell|checkpoint)$/;
const EXPORTS = /* GraphQL */ `
  query ($id: ID!) { run(id: $id) { status exports { name format url } } }
`;

export async function readFigures(url: string, api: ApiClient, id: string): Promise<Figures> {
  const { status, exports } = await exportsOf(api, id);
  const tables: Figures['tables'] = {};
  for (const { name, url: path } of exports.filter(({ name }) => name !== 'events'))
    tables[name] = (await readRows(new URL(path, url))).map(lessVolatile).sort(byText);
  return { status, tables };
}

/** Sequence numbers of all that the run told: its events and its logged steps. */
export async function readSequence(url: string, api: ApiClient, id: string): Promise<number[]> {
  const { exports } = await exportsOf(api, id);
  const seqs = new Set<number>();
  for (const { url: path } of exports.filter(({ name }) => name === 'events' || name === 'metrics'))
    for (const row of await readRows(new URL(path, url))) seqs.add(Number(row.seq));
  return [...seqs].sort((a, b) => a - b);
}

async function exportsOf(api: ApiClient, id: string) {
  type Reply = { run: { status: string; exports: { name: string; format: string; url: string }[] } };
  const { run } = await api.request<Reply>(EXPORTS, { id });
  return { ...run, exports: run.exports.filter(({ format }) => format === 'JSONL') };
}

async function readRows(url: URL): Promise<Row[]> {
  const text = await (await fetch(url)).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

function lessVolatile(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).filter(([key]) => !VOLATILE.test(key) && !/Id$|^id$/.test(key)),
  );
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** Checkpoints made to take the server's time, memory or patience: they cost their own process alone. */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ImportProcesses } from '../../src/services/importProcess.ts';
import { silentLog } from '../helpers/log.ts';
import { type Api, openApi } from './api.ts';

vi.setConfig({ testTimeout: 180_000 });

const FIXTURE = fileURLToPath(new URL('../fixtures/gpt2/f32', import.meta.url));
/** Longest time that the API may not answer, on a machine with other work. */
const MAX_LAG_MS = 400;
const IMPORT = `mutation ($input: ImportModelInput!) {
  importModel(input: $input) { __typename ... on Error { message } ... on InputError { path } }
}`;

let api: Api;
let silentHub: Server;
/** Resolves with the first request to the hub, which it never answers. */
let asked: Promise<void>;
beforeAll(async () => {
  asked = new Promise((resolve) => {
    silentHub = createServer(() => resolve());
  });
  await new Promise<void>((resolve) => silentHub.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(silentHub.address() as AddressInfo).port}`;
  api = await openApi({ hub: { url, token: null } });
});
afterAll(async () => {
  await api.close();
  silentHub.closeAllConnections();
  silentHub.close();
});

const jsonOf = async (name: string) => JSON.parse(await readFile(join(FIXTURE, name), 'utf8'));

async function importHostile(name: string, files: Record<string, string | Buffer | null>) {
  const folder = join(api.importDir, name);
  await cp(FIXTURE, folder, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    if (content === null) execFileSync('sh', ['-c', 'rm -f "$0" && mkfifo "$0"', join(folder, file)]);
    else await writeFile(join(folder, file), content);
  }
  const lag = monitorEventLoopDelay({ resolution: 5 });
  lag.enable();
  const { importModel } = await api.ask(IMPORT, { input: { path: name } });
  lag.disable();
  return { reply: importModel, lagMs: lag.max / 1e6 };
}

function safetensors(header: string, data = Buffer.alloc(0)): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Buffer.concat([length, Buffer.from(header), data]);
}

const hostile: Record<string, () => Promise<Record<string, string | Buffer | null>>> = {
  'ten million layers': async () => ({
    'config.json': JSON.stringify({ ...(await jsonOf('config.json')), n_layer: 10_000_000 }),
  }),
  'a vocabulary of 2^31 words': async () => ({
    'config.json': JSON.stringify({ ...(await jsonOf('config.json')), vocab_size: 2 ** 31 }),
  }),
  'a header of 300,000 tensors': async () => {
    const entries = Array.from(
      { length: 300_000 },
      (_, i) => `"t${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`,
    );
    return { 'model.safetensors': safetensors(`{${entries.join(',')}}`) };
  },
  'a shape of a million dimensions': async () => ({
    'model.safetensors': safetensors(
      `{"a":{"dtype":"F32","shape":[${new Array(1_000_000).fill(1).join(',')}],"data_offsets":[0,4]}}`,
      Buffer.alloc(4),
    ),
  }),
  'JSON that is nested a million times': async () => ({
    'config.json': '{"a":'.repeat(1_000_000) + '1'.padEnd(1_000_001, '}'),
  }),
  'a tokenizer of a million words': async () => {
    const tokenizer = await jsonOf('tokenizer.json');
    for (let i = 0; i < 1_000_000; i++) tokenizer.model.vocab[`word number ${i}`] = 1000 + i;
    return { 'tokenizer.json': JSON.stringify(tokenizer) };
  },
  'tokens of strange types': async () => ({
    'tokenizer.json': JSON.stringify({
      model: { type: 'BPE', vocab: { a: 'b' }, merges: 7 },
      added_tokens: {},
    }),
  }),
  'nothing where a tokenizer should be': async () => ({ 'tokenizer.json': 'null' }),
  'a FIFO in place of the weights': async () => ({ 'model.safetensors': null }),
};

describe('a hostile checkpoint is refused, and the API answers meanwhile', () => {
  test.each(Object.keys(hostile))('%s', async (name) => {
    const { reply, lagMs } = await importHostile(name.replaceAll(/\W/g, '-'), await hostile[name]!());
    expect(reply).toMatchObject({ __typename: 'InputError', path: ['path'] });
    expect(reply.message.length).toBeLessThan(2000);
    expect(lagMs).toBeLessThan(MAX_LAG_MS);
  });
});

test('nothing is left behind in the store, and nothing was imported', async () => {
  await mkdir(join(api.importDir, '.store', 'incoming'), { recursive: true });
  expect(await readdir(join(api.importDir, '.store', 'incoming'))).toEqual([]);
  const { models } = await api.ask('{ models(first: 1) { edges { node { name } } } }', {});
  expect(models.edges).toEqual([]);
});

test('an import that waits for a hub ends with the server, and no other begins', async () => {
  const imports = new ImportProcesses(silentLog);
  const { hub } = api.dependencies;
  const order = {
    what: 'MODEL',
    origin: { kind: 'HUB', repo: 'us/tiny', revision: 'main', hub },
    target: join(api.importDir, 'never'),
    maxBytes: 1e9,
    memoryBytes: 1e9,
  } as const;
  const stopped = { code: 'UNAVAILABLE', message: expect.stringMatching('shutting down') };
  const waiting = expect(imports.read(order)).rejects.toMatchObject(stopped);
  await asked;
  imports.stop();
  await waiting;
  await expect(imports.read(order)).rejects.toMatchObject(stopped);
});

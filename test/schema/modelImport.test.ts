/** Importing checkpoints, from a directory and from a hub of our own. */
import { cp, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { buildTinyLlama } from '../formats/gguf/build.ts';
import { type Api, openApi } from './api.ts';
import { answerFile } from './hub.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/gpt2', import.meta.url));
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const TOKEN = 'hf_secret';
const IMPORT = `mutation ($input: ImportModelInput!) {
  importModel(input: $input) {
    __typename
    ... on ImportModelSuccess {
      model {
        name nParams artifactHash dataset { id } accuracy(split: TRAIN)
        source { path repo revision commit file }
        config { nLayers nHeads dModel dMlp nCtx dVocab layerNormEps }
      }
    }
    ... on InputError { message path }
    ... on UnavailableError { message }
  }
}`;

let api: Api;
let hub: Server;
/** Method, address and range of each request to the hub. */
let asked: string[] = [];
let hubDown = false;
/** What each range of weights waits for before it is answered. */
let mayAnswer: (range: string) => Promise<void>;

beforeAll(async () => {
  hub = createServer(async (request, response) => {
    asked.push(`${request.url} ${request.headers.range ?? 'whole'}`);
    if (hubDown) return void request.socket.destroy();
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return void response.writeHead(401).end();
    const url = new URL(request.url!, 'http://hub');
    if (url.pathname.startsWith('/api/models/')) {
      const known = url.pathname === '/api/models/us/tiny/revision/v1';
      response.writeHead(known ? 200 : 404, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify(known ? { id: 'us/tiny', sha: COMMIT } : { error: 'none' }));
    }
    if (url.pathname.endsWith('.safetensors')) await mayAnswer(request.headers.range ?? '');
    const name = url.pathname.split(`/us/tiny/resolve/${COMMIT}/`)[1]!;
    const content =
      name === 'tiny.gguf'
        ? buildTinyLlama()
        : await readFile(join(FIXTURES, 'bf16-sharded', name)).catch(() => null);
    answerFile(request, response, content);
  });
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  api = await openApi({ hub: { url, token: TOKEN } });
  await cp(FIXTURES, join(api.importDir, 'models'), { recursive: true });
});
afterAll(async () => {
  await api.close();
  hub.close();
});
beforeEach(() => {
  asked = [];
  hubDown = false;
  mayAnswer = async () => undefined;
});

async function importModel(input: Record<string, unknown>) {
  return (await api.ask(IMPORT, { input })).importModel;
}

describe('from a directory', () => {
  test('stores a model without a dataset, its weights as float32', async () => {
    const { model } = await importModel({ path: 'models/f16' });
    expect(model).toMatchObject({
      name: 'f16',
      dataset: null,
      accuracy: null,
      source: { path: 'models/f16', repo: null, revision: null, commit: null },
      config: { nLayers: 3, nHeads: 3, dModel: 24, dMlp: 40, nCtx: 40, dVocab: 340, layerNormEps: 1e-5 },
    });
    const { size } = await stat(await api.dependencies.store.path(model.artifactHash));
    expect(size).toBeGreaterThan(4 * model.nParams);
  });

  test('refuses what leads out of the import directory, links of single files too', async () => {
    const linked = join(api.importDir, 'linked');
    await mkdir(linked);
    for (const name of ['tokenizer.json', 'model.safetensors'])
      await cp(join(FIXTURES, 'f32', name), join(linked, name));
    await symlink(join(FIXTURES, 'f32', 'config.json'), join(linked, 'config.json'));
    for (const path of ['../x', '/etc', 'linked']) {
      const refused = await importModel({ path });
      expect(refused, path).toMatchObject({ __typename: 'InputError', path: ['path'] });
    }
  });

  test('says what is wrong with the checkpoint, and with the input', async () => {
    expect(await importModel({ path: 'models' })).toMatchObject({
      path: ['path'],
      message: 'the checkpoint has no config.json',
    });
    expect(await importModel({ path: 'nowhere' })).toMatchObject({ path: ['path'] });
    expect(await importModel({})).toMatchObject({ message: 'give one of path and repo, got neither' });
    expect(await importModel({ path: 'models/f32', revision: 'v1' })).toMatchObject({ path: ['revision'] });
  });

  test('refuses what is larger than the limit, with both numbers', async () => {
    const { complexity } = api.dependencies.limits;
    const small = await openApi({
      limits: { complexity, modelBytes: 1000, engineBytes: 1e9, queuedRuns: 1000 },
    });
    await cp(FIXTURES, join(small.importDir, 'models'), { recursive: true });
    const { importModel: refused } = await small.ask(IMPORT, { input: { path: 'models/f32' } });
    expect(refused.message).toMatch(/needs \d{5} bytes as float32; MAX_MODEL_SIZE is 1000/);
    await small.close();
  });
});

describe('from a GGUF file', () => {
  test('stores the model that it holds, from a path and from a repository', async () => {
    await writeFile(join(api.importDir, 'tiny.gguf'), buildTinyLlama());
    const { model } = await importModel({ path: 'tiny.gguf' });
    expect(model).toMatchObject({
      name: 'tiny.gguf',
      source: { path: 'tiny.gguf', repo: null, file: null },
      config: { nLayers: 1, nHeads: 2, dModel: 8, dMlp: 32, nCtx: 16 },
    });
    const fromHub = await importModel({ repo: 'us/tiny', revision: 'v1', file: 'tiny.gguf' });
    expect(fromHub.model).toMatchObject({
      artifactHash: model.artifactHash,
      source: { repo: 'us/tiny', file: 'tiny.gguf' },
    });
  });

  test('says what is wrong with it, and stores nothing', async () => {
    await writeFile(join(api.importDir, 'cut.gguf'), buildTinyLlama().subarray(0, -64));
    expect(await importModel({ path: 'cut.gguf' })).toMatchObject({
      __typename: 'InputError',
      path: ['path'],
      message: expect.stringMatching(/^cut\.gguf: tensor ".+" ends at byte \d+ of \d+: the file is cut off$/),
    });
    expect(await importModel({ path: 'nowhere.gguf' })).toMatchObject({ path: ['path'] });
    expect(await importModel({ path: 'models/f32', file: 'a.gguf' })).toMatchObject({ path: ['file'] });
    expect(await importModel({ repo: 'us/tiny', revision: 'v1', file: 'config.json' })).toMatchObject({
      path: ['file'],
      message: 'file must be the name of a .gguf file, got "config.json"',
    });
    expect(await importModel({ repo: 'us/tiny', revision: 'v1', file: 'none.gguf' })).toMatchObject({
      path: ['repo'],
      message: 'the checkpoint has no none.gguf',
    });
  });
});

describe('from the hub', () => {
  test('reads one commit by ranges, each weight once, and stores what a directory gives', async () => {
    const { model } = await importModel({ repo: 'us/tiny', revision: 'v1', name: 'Ours' });
    expect(model).toMatchObject({
      name: 'Ours',
      source: { path: null, repo: 'us/tiny', revision: 'v1', commit: COMMIT },
    });
    const local = await importModel({ path: 'models/bf16-sharded' });
    expect(model.artifactHash).toBe(local.model.artifactHash);
    const weights = asked.filter((request) => request.includes('-of-00007.safetensors'));
    expect(weights.filter((request) => request.endsWith('whole'))).toEqual([]);
    expect(new Set(weights).size).toBe(weights.length);
  });

  test('is among the imports while it is read, with how far it has come', async () => {
    const IMPORTS = '{ imports { kind place startedAt writtenBytes totalBytes } }';
    let goOn: () => void = () => undefined;
    // Headers, at the start of a file, are let through; the weights behind them wait.
    const held = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let isHeld: () => void = () => undefined;
    const holding = new Promise<void>((resolve) => {
      isHeld = resolve;
    });
    let weights = 0;
    mayAnswer = async (range) => {
      if (/^bytes=0-/.test(range) || /^bytes=8-/.test(range) || ++weights < 3) return;
      isHeld();
      await held;
    };
    const imported = importModel({ repo: 'us/tiny', revision: 'v1', name: 'slow' });
    await holding;
    const [running] = (await api.ask(IMPORTS)).imports;
    expect(running).toMatchObject({ kind: 'MODEL', place: 'us/tiny' });
    expect(running.totalBytes).toBeGreaterThan(0);
    expect(running.writtenBytes).toBeLessThan(running.totalBytes);
    goOn();
    const { model } = await imported;
    expect(running.totalBytes).toBeGreaterThanOrEqual(4 * model.nParams);
    expect((await api.ask(IMPORTS)).imports).toEqual([]);
  });

  test('refuses a repository that it may not read, or that cannot be one', async () => {
    expect(await importModel({ repo: 'us/other' })).toMatchObject({
      path: ['repo'],
      message: expect.stringMatching(/no repository us\/other with a revision main.*404/),
    });
    expect(await importModel({ repo: '../x' })).toMatchObject({ path: ['repo'] });
    expect(await importModel({ repo: 'us/tiny', revision: '..' })).toMatchObject({ path: ['revision'] });
  });

  test('says so when there is no network', async () => {
    hubDown = true;
    expect(await importModel({ repo: 'us/tiny', revision: 'v1' })).toMatchObject({
      __typename: 'UnavailableError',
      message: expect.stringMatching(/cannot be read from the hub.*IMPORT_DIR needs no network/),
    });
  });
});

describe('a model larger than memory', () => {
  const shards = () =>
    asked.filter((request) => request.includes('.safetensors') || request.includes('.gguf'));

  test.each([
    ['safetensors in a directory', { path: 'models/f32' }, 'path'],
    ['a GGUF file', { path: 'large.gguf' }, 'path'],
    ['a repository', { repo: 'us/tiny', revision: 'v1' }, 'repo'],
    ['a GGUF file of a repository', { repo: 'us/tiny', revision: 'v1', file: 'tiny.gguf' }, 'repo'],
  ] as const)('is refused with both numbers before its weights are read: %s', async (_, input, field) => {
    await writeFile(join(api.importDir, 'large.gguf'), buildTinyLlama());
    const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(1000);
    const refused = await importModel(input);
    limit.mockRestore();
    expect(refused).toMatchObject({ __typename: 'InputError', path: [field] });
    expect(refused.message).toMatch(
      /^the model needs \d{4,6} bytes of memory as float32; this machine has 1000$/,
    );
    if (field !== 'repo') return;
    const headers = shards().length;
    asked = [];
    await importModel(input);
    expect(headers).toBeLessThan(shards().length);
  });
});

/** Importing SAEs, from a directory and from a hub of our own. */
import { cp, readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { storeTinyAlignment, type TinyAlignment } from '../helpers/tinyAlignment.ts';
import { type Api, openApi } from './api.ts';
import { contract } from './contract.ts';
import { answerFile } from './hub.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/saes', import.meta.url));
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const ABOUT = `query ($id: ID!) { sae(id: $id) { name tags artifactHash storage nSlots layer run { id } dataset { id }
  model { id } source { path repo revision commit folder file } } }`;

let api: Api;
let hub: Server;
let tiny: TinyAlignment;
let modelId: string;

beforeAll(async () => {
  hub = createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, 'http://hub');
    if (pathname === '/api/models/us/scope/revision/main')
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ id: 'us/scope', sha: COMMIT }));
    const name = pathname.split(`/us/scope/resolve/${COMMIT}/`)[1];
    const content = name ? await readFile(join(FIXTURES, decodeURIComponent(name))).catch(() => null) : null;
    answerFile(request, response, content);
  });
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  api = await openApi({ hub: { url, token: null } });
  await cp(FIXTURES, join(api.importDir, 'saes'), { recursive: true });
  tiny = await storeTinyAlignment(api.database.db, api.dependencies.store);
  modelId = encodeGlobalId('Model', tiny.modelId);
});
afterAll(async () => {
  await api.close();
  hub.close();
});

async function importSae(input: Record<string, unknown>) {
  return (await api.ask(contract('ImportSae'), { input: { modelId, ...input } })).importSae;
}

test('an SAE from a directory is a noun like one trained here', async () => {
  const { __typename, sae } = await importSae({ path: 'saes/gated', tags: ['gated'] });
  expect(__typename).toBe('ImportSaeSuccess');
  expect(sae).toMatchObject({ name: 'gated', architecture: 'JUMP_RELU', dModel: 8, nLatents: 24, layer: 1 });
  const about = (await api.ask(ABOUT, { id: sae.id })).sae;
  expect(about).toMatchObject({
    ...{ tags: ['gated'], nSlots: 0, run: null, model: { id: modelId } },
    dataset: { id: encodeGlobalId('Dataset', tiny.datasetId) },
    source: { path: 'saes/gated', repo: null, file: 'sae_weights.safetensors' },
  });
  expect(about.storage).toBeGreaterThan(1000);
  const list = await api.ask('{ saes(filter: { isImported: true }) { edges { node { id } } } }');
  expect(list.saes.edges).toEqual([{ node: { id: sae.id } }]);
  const gone = await api.ask(
    'mutation ($id: ID!) { deleteSae(input: { id: $id }) { ... on DeleteSuccess { ids freedBytes } } }',
    { id: sae.id },
  );
  expect(gone.deleteSae).toEqual({ ids: [sae.id], freedBytes: about.storage });
  expect(await api.dependencies.store.has(about.artifactHash)).toBe(false);
});

test('one from the hub is that of its folder, at a commit', async () => {
  const folder = 'gemma-scope/deflated/layer_0/width_24';
  const { sae } = await importSae({ repo: 'us/scope', folder, name: 'Scope' });
  const about = (await api.ask(ABOUT, { id: sae.id })).sae;
  expect(about).toMatchObject({
    ...{ name: 'Scope', layer: 0 },
    source: { path: null, repo: 'us/scope', revision: 'main', commit: COMMIT, folder, file: 'params.npz' },
  });
  const local = await importSae({ path: `saes/${folder}` });
  expect((await api.ask(ABOUT, { id: local.sae.id })).sae.artifactHash).toBe(about.artifactHash);
  const root = await importSae({ repo: 'us/scope' });
  expect(root).toMatchObject({ __typename: 'InputError', path: ['repo'] });
});

describe('bad input', () => {
  test.each<[string, Record<string, unknown>, string[], RegExp]>([
    ['neither', {}, ['path'], /one of path and repo, got neither/],
    ['both', { path: 'saes/gated', repo: 'us/scope' }, ['path'], /got both/],
    ['a way out', { path: '../x' }, ['path'], /leads out/],
    ['nowhere', { path: 'nowhere' }, ['path'], /does not exist/],
    ['no SAE there', { path: 'saes' }, ['path'], /neither cfg\.json/],
    ['a folder of a path', { path: 'saes/gated', folder: 'x' }, ['folder'], /of a repo/],
    [
      'a folder that leads out',
      { repo: 'us/scope', folder: 'a/../../b' },
      ['folder'],
      /folder of the repository/,
    ],
    ['another layer', { path: 'saes/gated', layer: 0 }, ['layer'], /reads layer 1; leave it out/],
    [
      'no such layer',
      { path: 'saes/gemma-scope/stored/layer_0/width_24', layer: 7 },
      ['layer'],
      /reads layer 0/,
    ],
    ['no scale', { path: 'saes/scaled' }, ['inputScale'], /norm_scaling_factor/],
    ['a scale of nothing', { path: 'saes/scaled', inputScale: 0 }, ['inputScale'], /above 0/],
  ])('%s', async (_what, input, path, message) => {
    expect(await importSae(input)).toMatchObject({
      __typename: 'InputError',
      path,
      message: expect.stringMatching(message),
    });
  });

  test('another width, another depth, and more than the engine may hold', async () => {
    const { db } = api.database;
    const set = (config: string) =>
      db.execute(`update models set config = config || '${config}'::jsonb where id = '${tiny.modelId}'`);
    await set('{"dModel": 16}');
    expect(await importSae({ path: 'saes/gated' })).toMatchObject({
      path: ['modelId'],
      message: expect.stringMatching(/width 8; those of model "tiny" have width 16/),
    });
    await set('{"dModel": 8, "nLayers": 1}');
    expect(await importSae({ path: 'saes/gated' })).toMatchObject({ path: ['layer'] });
    await set('{"nLayers": 2}');
    const { limits } = api.dependencies;
    limits.engineBytes = 100;
    expect(await importSae({ path: 'saes/gated' })).toMatchObject({
      path: ['path'],
      message: expect.stringMatching(/may hold 100 \(ENGINE_MEMORY\)/),
    });
    limits.engineBytes = 1e9;
    expect(await readdir(join(api.importDir, '.store', 'incoming'))).toEqual([]);
  });
});

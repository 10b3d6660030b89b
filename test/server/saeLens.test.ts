/** SAEs taken out for SAELens: recomputed here by its formulas, and by SAELens itself where Python has it. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { insertHopSaes } from '../../src/db/queries/hopSaes.ts';
import { runs, saes } from '../../src/db/tables/index.ts';
import { ALIGNMENT_PRESETS } from '../../src/engine/contract/alignmentPresets.ts';
import type { EncoderActivation } from '../../src/engine/contract/alignmentSettings.ts';
import { grokSettings } from '../../src/engine/contract/analysisSettings.ts';
import { decode, encode, initSae, joinLatents } from '../../src/engine/sae/autoencoder.ts';
import { type StoredSae, writeSae } from '../../src/engine/sae/file.ts';
import { denormalize, normalize } from '../../src/engine/sae/normalization.ts';
import { Sae } from '../../src/engine/sae/sae.ts';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { createRandom } from '../../src/random.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { generateDataset } from '../../src/services/datasetCreation.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { loadTestBackend } from '../helpers/engine.ts';
import { finishQueuedRun, insertModel, insertQueuedRun } from '../helpers/fixtures.ts';
import { post, startTestApi, type TestApi } from './edge.ts';

const run = promisify(execFile);
const PYTHON = process.env.PYTHON ?? 'python3';
const CONCEPTS = ['birth_date', 'birth_city', 'university', 'major', 'employer', 'work_city'];
/** So large that the weights are read in several blocks. */
const D_MODEL = 128;
const N_FREE = 2500;
const ROWS = 12;
/** float32 sums over so many latents, by another order of additions. */
const TOLERANCE = 1e-5;
const SAE_LENS =
  'query ($id: ID!) { node(id: $id) { ... on AlignmentRun { saeLens { ...F } } ... on BaselineRun { saeLens { ...F } } } } fragment F on SaeLens { architecture unavailableReason cfgUrl weightsUrl }';

interface Exported {
  dir: string;
  // biome-ignore lint/suspicious/noExplicitAny: as SAELens reads it
  cfg: any;
  expected: { h: number[][]; latents: number[][]; decoded: number[][] };
}

let database: Database;
let api: TestApi;
let store: ArtifactStore;
let dir: string;
let datasetId: string;
let modelId: string;
const exported: Exported[] = [];

beforeAll(async () => {
  await loadTestBackend();
  database = await createTestDatabase();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-saelens-'));
  store = await openArtifactStore(join(dir, 'store'));
  api = await startTestApi(database, {}, { work: { engine: null as never, store } });
  datasetId = (await generateDataset(database.db, { people: 2, seed: 0 })).id;
  modelId = await insertModel(database.db, datasetId);
});
afterAll(async () => {
  await api.stop();
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

/** Random weights, as large as trained ones. */
function makeSae(activation: EncoderActivation, nConcepts: number): StoredSae {
  const random = createRandom(1, 'saelens', activation);
  const noise = (n: number, scale: number) => Float32Array.from({ length: n }, () => scale * random.normal());
  const config = { dModel: D_MODEL, nFree: N_FREE, nConcepts, activation, k: 20, valueHeads: null };
  const weights = initSae(config, 7);
  weights['encoder.bias']!.data.set(noise(N_FREE + nConcepts, 0.5));
  weights['decoder.bias']!.data.set(noise(D_MODEL, 0.1));
  weights.threshold?.data.set([0.8]);
  const columns = weights['decoder.weight']!.data;
  columns.set(columns.map((value) => value / 20));
  return {
    ...{ config, weights, concepts: CONCEPTS, bestStep: 1 },
    settings: { ...ALIGNMENT_PRESETS.PAPER, activation, nFree: N_FREE },
    normalization: { mean: noise(D_MODEL, 1), scale: 1.7 },
    conceptMeans: new Float32Array(CONCEPTS.length * D_MODEL),
  };
}

/** What this server computes with the SAE. */
function compute(sae: StoredSae): Exported['expected'] {
  const random = createRandom(2, 'activations');
  const h = Float32Array.from({ length: ROWS * D_MODEL }, () => 1.5 * random.normal());
  const loaded = new Sae(sae);
  const [latents, decoded] = tf.tidy(() => {
    const x = tf.tensor2d(normalize(h, sae.normalization), [ROWS, D_MODEL]);
    const encoded = encode(sae.config, loaded.weights, x);
    return [joinLatents(encoded).dataSync(), decode(loaded.weights, encoded).dataSync()] as Float32Array[];
  });
  loaded.dispose();
  return {
    h: rowsOf(h),
    latents: rowsOf(latents!),
    decoded: rowsOf(denormalize(decoded!, sae.normalization)),
  };
}

function rowsOf(flat: Float32Array): number[][] {
  const width = flat.length / ROWS;
  return Array.from({ length: ROWS }, (_, i) => [...flat.subarray(i * width, (i + 1) * width)]);
}

/** Stores the SAE as a run's and downloads it as a client would; null with the reason where that cannot be. */
async function takeOut(activation: EncoderActivation, kind: 'ALIGNMENT' | 'BASELINE', layer = 0) {
  const { db } = database;
  const sae = makeSae(activation, kind === 'ALIGNMENT' ? CONCEPTS.length : 0);
  const settings = { activation, layer };
  const { id } = await insertQueuedRun(db, { kind, datasetId, modelId, settings, datasetHash: 'abc' });
  const file = await writeSae(join(dir, `${id}.safetensors`), sae);
  await db.transaction((tx) => storeArtifact(tx, store, file, 'SAE'));
  await db.update(runs).set({ artifactHash: file.sha256 }).where(eq(runs.id, id));
  await finishQueuedRun(db, id);
  const globalId = encodeGlobalId(kind === 'ALIGNMENT' ? 'AlignmentRun' : 'BaselineRun', id);
  const { body } = await post(api, SAE_LENS, { id: globalId });
  return { ...body.data.node.saeLens, id: globalId, expected: compute(sae) };
}

async function download(taken: Awaited<ReturnType<typeof takeOut>>): Promise<Exported> {
  const path = join(dir, taken.id.replace(/\W/g, ''));
  await mkdir(path);
  const cfg = await (await fetch(`${api.url}${taken.cfgUrl}`)).text();
  const weights = await fetch(`${api.url}${taken.weightsUrl}`);
  const content = Buffer.from(await weights.arrayBuffer());
  expect(Number(weights.headers.get('content-length'))).toBe(content.byteLength);
  await writeFile(join(path, 'cfg.json'), cfg);
  await writeFile(join(path, 'sae_weights.safetensors'), content);
  await writeFile(join(path, 'expected.json'), JSON.stringify(taken.expected));
  const result = { dir: path, cfg: JSON.parse(cfg), expected: taken.expected };
  exported.push(result);
  return result;
}

/** SAELens 6: `sae_in @ W_enc + b_enc`, the architecture's activation, `acts @ W_dec + b_dec`. */
async function recompute({ dir: path, cfg, expected }: Exported) {
  const { arrays } = await readSafetensors(join(path, 'sae_weights.safetensors'));
  const { d_in: dIn, d_sae: dSae, architecture, k } = cfg;
  expect(Object.fromEntries(Object.entries(arrays).map(([name, { shape }]) => [name, shape]))).toEqual({
    ...{ b_dec: [dIn], b_enc: [dSae], W_enc: [dIn, dSae], W_dec: [dSae, dIn] },
    ...(architecture === 'jumprelu' && { threshold: [dSae] }),
  });
  const { b_dec, b_enc, threshold, W_enc, W_dec } = arrays;
  return expected.h.map((h) => {
    const pre = Float64Array.from(b_enc!.data);
    h.forEach((value, i) => {
      for (let j = 0; j < dSae; j++) pre[j]! += value * W_enc!.data[i * dSae + j]!;
    });
    const kth = architecture === 'topk' ? [...pre].sort((a, b) => b - a)[k - 1]! : Number.NEGATIVE_INFINITY;
    const acts = pre.map((u, j) => (u >= kth && u > (threshold?.data[j] ?? 0) ? Math.max(u, 0) : 0));
    const out = Float64Array.from(b_dec!.data);
    acts.forEach((act, j) => {
      if (act !== 0) for (let i = 0; i < dIn; i++) out[i]! += act * W_dec!.data[j * dIn + i]!;
    });
    return { acts, out };
  });
}

describe('an SAE for SAELens', () => {
  test.each([
    ['RELU', 'ALIGNMENT', 'standard', CONCEPTS.length],
    ['LINEAR', 'ALIGNMENT', 'standard', N_FREE + CONCEPTS.length],
    ['BATCH_TOPK', 'ALIGNMENT', 'jumprelu', CONCEPTS.length],
    ['TOPK', 'BASELINE', 'topk', 0],
    ['RELU', 'BASELINE', 'standard', 0],
  ] as const)('computes the same: %s of %s as %s', async (activation, kind, architecture, negatives) => {
    const taken = await takeOut(activation, kind);
    expect(taken).toMatchObject({ architecture, unavailableReason: null });
    const files = await download(taken);
    const { latents, decoded } = files.expected;
    const n = latents[0]!.length;
    expect(files.cfg).toMatchObject({ architecture, d_in: D_MODEL, d_sae: n + negatives });
    const rows = await recompute(files);
    let active = 0;
    rows.forEach(({ acts, out }, row) => {
      const apart = latents[row]!.map((value, j) => {
        const negative = j < n - negatives ? 0 : acts[j + negatives]!;
        active += Number(value !== 0);
        return Math.abs(acts[j]! - negative - value);
      });
      expect(Math.max(...apart)).toBeLessThan(TOLERANCE);
      const lost = decoded[row]!.map((value, i) => Math.abs(out[i]! - value));
      expect(Math.max(...lost)).toBeLessThan(TOLERANCE);
    });
    expect(active).toBeGreaterThan(ROWS);
  });

  test('says what its latents mean, where it reads, and what it was made of', async () => {
    const { cfg } = await download(await takeOut('RELU', 'ALIGNMENT', -1));
    expect(cfg.metadata).toMatchObject({
      ...{ hook_name: 'blocks.0.hook_resid_pre', model_name: 'm', context_size: 32, prepend_bos: false },
      alignsae: {
        ...{ kind: 'ALIGNMENT', nFree: N_FREE, dataset: { contentHash: 'abc' } },
        ontology: { concepts: CONCEPTS.map((key) => ({ key })) },
      },
    });
    expect(cfg.metadata.alignsae.slots.map((slot: { concept: string }) => slot.concept)).toEqual(CONCEPTS);
    expect(cfg.metadata.alignsae.slots[1]).toMatchObject({
      ...{ latent: N_FREE + 1, negativeLatent: N_FREE + CONCEPTS.length + 1, label: 'birth city' },
    });
  });

  test('is refused, with the reason, where SAELens has no counterpart or the run has no SAE', async () => {
    const taken = await takeOut('TOPK', 'ALIGNMENT');
    const none = { architecture: null, cfgUrl: null, weightsUrl: null };
    expect(taken).toMatchObject({
      ...none,
      unavailableReason: expect.stringMatching(/slots stay on beside/),
    });
    const read = async (id: string) => {
      const response = await fetch(`${api.url}/export/runs/${encodeURIComponent(id)}/saelens/cfg.json`);
      return [response.status, (await response.json()).errors[0].message];
    };
    expect(await read(taken.id)).toEqual([409, taken.unavailableReason]);
    const waiting = await insertQueuedRun(database.db, {
      kind: 'BASELINE',
      datasetId,
      settings: { activation: 'RELU' },
    });
    expect(await read(encodeGlobalId('BaselineRun', waiting.id))).toEqual([
      409,
      expect.stringMatching(/QUEUED/),
    ]);
    const model = await insertQueuedRun(database.db);
    expect(await read(encodeGlobalId('ModelRun', model.id))).toEqual([
      409,
      expect.stringMatching(/MODEL trains no SAE/),
    ]);
  });

  test('is there for each hop of a two-hop run that trained one', async () => {
    const { db } = database;
    const settings = grokSettings.parse({ layer: 1 });
    const two = { modelId, datasetId, datasetHash: 'abc' };
    const { id } = await insertQueuedRun(db, { ...two, kind: 'CHECKPOINT_ANALYSIS', settings, step: 5 });
    const sae = makeSae('RELU', CONCEPTS.length);
    const files = [sae, { ...sae, bestStep: 2 }].map((each, i) => writeSae(join(dir, `hop-${i}`), each));
    await db.transaction(async (tx) => {
      const hashes = [];
      for (const file of files) hashes.push(await storeArtifact(tx, store, await file, 'SAE'));
      await insertHopSaes(tx, id, hashes);
    });
    const globalId = encodeGlobalId('CheckpointAnalysisRun', id);
    const ask = async (): Promise<
      { hop: number; artifactHash: string; saeLens: Record<string, string> }[]
    > => {
      const query = `query ($id: ID!) { node(id: $id) { ... on CheckpointAnalysisRun { saes {
        hop artifactHash saeLens { architecture unavailableReason cfgUrl weightsUrl } } } } }`;
      return (await post(api, query, { id: globalId })).body.data.node.saes;
    };
    expect((await ask())[0]!.saeLens).toMatchObject({ unavailableReason: expect.stringMatching(/QUEUED/) });
    await db.update(runs).set({ status: 'RUNNING' }).where(eq(runs.id, id));
    await db.update(runs).set({ status: 'SUCCEEDED', finishedAt: new Date() }).where(eq(runs.id, id));
    const saes = await ask();
    expect(saes.map(({ hop }) => hop)).toEqual([1, 2]);
    const [, second] = saes as [(typeof saes)[0], (typeof saes)[0]];
    expect(second.saeLens.cfgUrl).toMatch(/saelens\/hop-2\/cfg\.json$/);
    const cfg = await (await fetch(`${api.url}${second.saeLens.cfgUrl}`)).json();
    expect(cfg.metadata).toMatchObject({
      hook_name: 'blocks.1.hook_resid_post',
      alignsae: {
        ...{ kind: 'CHECKPOINT_ANALYSIS', weightsSha256: second.artifactHash },
        position: expect.stringMatching(/predicts E3/),
      },
    });
    expect((await fetch(`${api.url}${second.saeLens.weightsUrl}`)).status).toBe(200);
    const whole = second.saeLens.cfgUrl!.replace('hop-2/', '');
    expect((await fetch(`${api.url}${whole}`)).status).toBe(409);
    const borrowed = await insertQueuedRun(db, {
      ...{ ...two, kind: 'HOP_SWAP', analysisRunId: id },
      settings: { analysis: settings },
    });
    const address = encodeURIComponent(encodeGlobalId('HopSwapRun', borrowed.id));
    const refused = await fetch(`${api.url}/export/runs/${address}/saelens/hop-1/cfg.json`);
    expect((await refused.json()).errors[0].message).toMatch(/HOP_SWAP trains no SAE of hop 1/);
  });

  test('is there for an SAE by itself, also for one that was imported', async () => {
    const file = await writeSae(join(dir, 'theirs'), makeSae('JUMP_RELU', 0));
    const { dModel, nFree, nConcepts, k } = makeSae('JUMP_RELU', 0).config;
    const [sae] = await database.db.transaction(async (tx) => {
      const artifactHash = await storeArtifact(tx, store, file, 'SAE');
      const config = { dModel, nFree, nConcepts, activation: 'JUMP_RELU', k } as const;
      const source = { kind: 'DIRECTORY', path: 'theirs', file: 'params.npz' } as const;
      return tx
        .insert(saes)
        .values({ name: 'Theirs', source, modelId, layer: 1, config, artifactHash })
        .returning();
    });
    const query = 'query ($id: ID!) { sae(id: $id) { saeLens { architecture cfgUrl weightsUrl } } }';
    const { saeLens } = (await post(api, query, { id: encodeGlobalId('Sae', sae!.id) })).body.data.sae;
    expect(saeLens.architecture).toBe('jumprelu');
    const cfg = await (await fetch(`${api.url}${saeLens.cfgUrl}`)).json();
    expect(cfg).toMatchObject({ architecture: 'jumprelu', d_in: D_MODEL, d_sae: N_FREE });
    expect(cfg.metadata).toMatchObject({
      hook_name: 'blocks.1.hook_resid_post',
      alignsae: { name: 'Theirs', source: { path: 'theirs' }, slots: [] },
    });
    const weights = Buffer.from(await (await fetch(`${api.url}${saeLens.weightsUrl}`)).arrayBuffer());
    const length = Number(weights.readBigUInt64LE());
    expect(JSON.parse(weights.toString('utf8', 8, 8 + length)).threshold.shape).toEqual([N_FREE]);
    const none = saeLens.cfgUrl.replace(
      /saes\/[^/]+/,
      `saes/${encodeURIComponent(encodeGlobalId('Sae', crypto.randomUUID()))}`,
    );
    expect((await fetch(`${api.url}${none}`)).status).toBe(404);
  });

  test('is loaded by SAELens itself, which computes the same', async (context) => {
    const script = fileURLToPath(new URL('saeLens.py', import.meta.url));
    const answer = await run(PYTHON, [script, ...exported.map((each) => each.dir)]).catch((error) => {
      if (error.code === 'ENOENT' || /No module named '(sae_lens|torch)'/.test(error.stderr)) return null;
      throw error;
    });
    if (!answer) {
      const how = `${PYTHON} has no sae_lens: pip install sae-lens, or point PYTHON to where it is`;
      console.warn(`NOT CHECKED with SAELens itself: ${how}`);
      return context.skip(how);
    }
    const { stdout } = answer;
    const results = JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, never>[];
    expect(results.map(({ architecture }) => architecture)).toEqual(
      exported.map(({ cfg }) => cfg.architecture),
    );
    expect(results[0]).toMatchObject({ hook: 'blocks.0.hook_resid_post', slots: CONCEPTS });
    for (const { latents, decoded } of results) {
      expect(latents).toBeLessThan(TOLERANCE);
      expect(decoded).toBeLessThan(TOLERANCE);
    }
  }, 180_000);
});

/** Models taken out as directories: imported again here, and loaded by transformers where Python has it. */

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { models } from '../../src/db/tables/index.ts';
import { logits } from '../../src/engine/model/decoder.ts';
import { generate } from '../../src/engine/model/generate.ts';
import { loadLanguageModel } from '../../src/engine/model/languageModel.ts';
import { writeSafetensors } from '../../src/formats/safetensors.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { ImportProcesses } from '../../src/services/importProcess.ts';
import { importModel } from '../../src/services/modelImport.ts';
import { tinyConfig, tinyTokenizerJson, tinyWeights } from '../engine/model/tiny.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { loadTestBackend } from '../helpers/engine.ts';
import { silentLog } from '../helpers/log.ts';
import { post, startTestApi, type TestApi } from './edge.ts';

const run = promisify(execFile);
const PYTHON = process.env.PYTHON ?? 'python3';
const FIXTURES = fileURLToPath(new URL('../fixtures/gpt2', import.meta.url));
const TOLERANCE = 1e-4;
const FILES = 'query ($id: ID!) { node(id: $id) { ... on Model { files { name url } } } }';
const imports = new ImportProcesses(silentLog);
const options = { imports, hub: { url: 'http://127.0.0.1:9', token: null }, limits: { modelBytes: 1e9 } };

type Model = typeof models.$inferSelect;
let database: Database;
let api: TestApi;
let store: ArtifactStore;
let dir: string;
let trained: Model;
let imported: Model;

beforeAll(async () => {
  await loadTestBackend();
  database = await createTestDatabase();
  dir = await mkdtemp(join(tmpdir(), 'alignsae-export-'));
  store = await openArtifactStore(join(dir, 'store'));
  api = await startTestApi(database, {}, { work: { engine: null as never, store } });
  trained = await insertTrained();
  imported = await importModel(database.db, { store, importDir: FIXTURES, ...options }, { path: 'f16' });
});
afterAll(async () => {
  await api.stop();
  await database.close();
  await rm(dir, { recursive: true, force: true });
});

/** As a training run stores it: a word-level tokenizer and an MLP of its own width. */
async function insertTrained(): Promise<Model> {
  const metadata = { format: 'pt', config: JSON.stringify(tinyConfig) };
  const file = await writeSafetensors(join(dir, 'trained.safetensors'), tinyWeights(3), metadata);
  const [model] = await database.db.transaction(async (tx) => {
    const artifactHash = await storeArtifact(tx, store, file, 'MODEL');
    const values = { name: 'm', tokenizer: tinyTokenizerJson, nParams: 1, accuracy: {}, artifactHash };
    return tx
      .insert(models)
      .values({ ...values, config: { ...tinyConfig } })
      .returning();
  });
  return model!;
}

/** Saves the model's files as its directory. */
async function download({ id }: Model): Promise<string> {
  const directory = join(dir, id);
  await mkdir(directory, { recursive: true });
  const { body } = await post(api, FILES, { id: encodeGlobalId('Model', id) });
  for (const { name, url } of body.data.node.files) {
    const response = await fetch(`${api.url}${url}`);
    const content = Buffer.from(await response.arrayBuffer());
    expect(Number(response.headers.get('content-length'))).toBe(content.byteLength);
    await writeFile(join(directory, name), content);
  }
  return directory;
}

/** What this engine computes with the model. */
async function compute({ config, tokenizer, artifactHash }: Model, prompts: readonly string[]) {
  const weights = await store.path(artifactHash);
  const model = await loadLanguageModel({ weights, config, tokenizer });
  const tokens = prompts.map((prompt) => model.tokenizer.encode(prompt));
  const made = await generate(model, tokens, { maxNewTokens: 8 });
  const answers = tokens.map((ids, i) => {
    const z = tf.tidy(() => logits(model.config, model.weights, tf.tensor2d([ids], undefined, 'int32')));
    const last = Array.from(z.dataSync()).slice(-model.config.dVocab);
    z.dispose();
    return { tokens: ids, logits: last, text: made[i]!.text };
  });
  model.dispose();
  return answers;
}

describe('a model taken out as a directory', () => {
  test('is, imported again, the model that it was', async () => {
    for (const model of [trained, imported]) {
      const directory = await download(model);
      const again = await importModel(
        database.db,
        { store, importDir: dir, ...options },
        { path: directory.slice(dir.length + 1) },
      );
      expect(again.config).toEqual(model.config);
      const prompts = ['ada bo', 'The fox'];
      expect(await compute(again, prompts)).toEqual(await compute(model, prompts));
    }
  });

  test('has no other files, and none of a model that does not exist', async () => {
    const read = async (path: string) => (await fetch(`${api.url}/export/models/${path}`)).status;
    const id = encodeURIComponent(encodeGlobalId('Model', trained.id));
    expect(await read(`${id}/pytorch_model.bin`)).toBe(404);
    expect(await read(`${id}/config.json`)).toBe(200);
    const other = encodeURIComponent(encodeGlobalId('Model', crypto.randomUUID()));
    expect(await read(`${other}/config.json`)).toBe(404);
    const ofRun = encodeURIComponent(encodeGlobalId('ModelRun', trained.id));
    expect(await read(`${ofRun}/config.json`)).toBe(400);
  });

  test('is loaded by transformers, which computes and generates the same', async (context) => {
    const asked = [
      { model: trained, prompts: ['ada bo cy', 'Hal', 'fay eve fay di'] },
      { model: imported, prompts: ['The fox is a unit of', 'Zoë', '3.14 is'] },
    ];
    const directories = await Promise.all(asked.map(({ model }) => download(model)));
    for (const [i, { prompts }] of asked.entries())
      await writeFile(join(directories[i]!, 'prompts.json'), JSON.stringify(prompts));
    const script = fileURLToPath(new URL('modelExport.py', import.meta.url));
    const answer = await run(PYTHON, [script, ...directories]).catch((error) => {
      if (error.code === 'ENOENT' || /No module named '(transformers|torch)'/.test(error.stderr)) return null;
      throw error;
    });
    if (!answer) {
      const how = `${PYTHON} has no transformers: pip install torch transformers, or point PYTHON to where it is`;
      console.warn(`NOT CHECKED with transformers itself: ${how}`);
      return context.skip(how);
    }
    const results = JSON.parse(answer.stdout.trim().split('\n').at(-1)!);
    for (const [i, { model, prompts }] of asked.entries()) {
      expect(results[i]).toMatchObject({ architecture: 'GPT2LMHeadModel', problems: {} });
      for (const [j, expected] of (await compute(model, prompts)).entries()) {
        const found = results[i].answers[j];
        expect(found.tokens).toEqual(expected.tokens);
        expect(found.text.trim()).toBe(expected.text);
        const scale = Math.max(...expected.logits.map(Math.abs));
        const error = Math.max(...expected.logits.map((value, k) => Math.abs(value - found.logits[k])));
        expect(error / scale).toBeLessThan(TOLERANCE);
      }
    }
  }, 180_000);
});

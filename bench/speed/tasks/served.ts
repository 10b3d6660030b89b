/**
 * What `reading.ts` does, asked of a running server over HTTP: SmolLM2 itself and an SAE that was imported, both stored,
 * loaded and warm. The other side is the engine alone in its own process.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ApiClient, createApiClient, success } from '../../../src/demo/client.ts';
import { startOwnServer } from '../../../src/demo/server.ts';
import { fetchSmolLm2 } from '../../../src/demo/smollm2.ts';
import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { ALIGNMENT_PRESETS } from '../../../src/engine/contract/alignmentPresets.ts';
import { steer } from '../../../src/engine/edits/steer.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { initSae } from '../../../src/engine/sae/autoencoder.ts';
import { Sae } from '../../../src/engine/sae/sae.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { writeChunks, writeSafetensors } from '../../../src/formats/safetensors.ts';
import { loadTokenizer, type Tokenizer } from '../../../src/formats/tokenizer.ts';
import type { ServedWork } from '../work.ts';
import { CHECKED_LATENTS, SLOT, strongestOf } from './reading.ts';
import type { Task } from './task.ts';

const ALPHAS = [1, 2, 3, 4, 5, 6, 7, 8];
/** English, of which the beginning is read. */
const TEXT = new URL('../../../ARCHITECTURE.md', import.meta.url);
const GGUF = 'smollm2.gguf';

/** @param directory Where the server has its data, kept from one measurement to the next. */
export async function servedTask(work: ServedWork, directory: string, variant: string): Promise<Task> {
  await mkdir(join(directory, 'import', 'sae'), { recursive: true });
  return variant === '' ? overHttp(work, directory) : inTheEngine(work, directory);
}

async function overHttp(work: ServedWork, directory: string): Promise<Task> {
  await writeSae(work, join(directory, 'import', 'sae'));
  const cache = dirname(dirname(directory));
  await copyFile(await fetchSmolLm2(cache, process.env, console.error), join(directory, 'import', GGUF));
  Object.assign(process.env, {
    ...{
      IMPORT_DIR: join(directory, 'import'),
      DATA_DIR: join(directory, 'server'),
      CACHE_DIR: cache,
      PORT: '0',
    },
  });
  const server = await startOwnServer();
  // What ends this process asks the server to end first.
  void server.exited.then(() => process.exit(0));
  const api = createApiClient(new URL('/graphql', server.url).href);
  const saeId = await importedSae(api);
  const { tokenizer } = await openModel(directory);
  const text = await firstTokens(tokenizer, work.tokens);
  const ask = <T>(query: string, variables: object) => api.request<T>(query, { saeId, text, ...variables });
  if (work.what === 'ACTIVATIONS') {
    const read = (first: number) => ask<Activations>(ACTIVATIONS, { first });
    return {
      check: async () =>
        (await read(CHECKED_LATENTS)).activations.tokens.flatMap(({ latents }) =>
          latents.map(({ activation }) => activation),
        ),
      run: () => read(5),
      units: 1,
    };
  }
  const steered = () => ask<Steered>(STEER, { alphas: ALPHAS, maxNewTokens: work.newTokens });
  return {
    check: async () =>
      (await steered()).steer.results.flatMap(({ continuation }) =>
        continuation.tokens.map(({ probability }) => probability),
      ),
    run: steered,
    units: 1,
  };
}

async function inTheEngine(work: ServedWork, directory: string): Promise<Task> {
  const model = await loadModel(directory);
  const sae = createSae(work);
  const text = await firstTokens(model.tokenizer, work.tokens);
  if (work.what === 'ACTIVATIONS') {
    const tokens = model.tokenizer.encode(text);
    const positions = [tokens.map((_, position) => position)];
    const capture = () => captureResidPost(model, [tokens], { layer: work.layer, positions });
    return { check: async () => strongestOf(sae, await capture()), run: capture, units: 1 };
  }
  const edits = [{ ...SLOT, target: { latent: 0 }, action: 'SET', strength: 1 } as const];
  const steered = () =>
    steer({ model, sae }, { prompt: text, alphas: ALPHAS, maxNewTokens: work.newTokens, edits });
  return {
    check: async () =>
      (await steered()).results.flatMap(({ tokens }) => tokens.map(({ probability }) => probability)),
    run: steered,
    units: 1,
  };
}

interface Activations {
  activations: { tokens: { latents: { activation: number }[] }[] };
}

const ACTIVATIONS = /* GraphQL */ `
  query ($saeId: ID!, $text: String!, $first: Int!) {
    activations(saeId: $saeId, text: $text) {
      tokens { text latents(first: $first) { latent { index concept { key } } activation } }
    }
  }
`;

interface Steered {
  steer: { results: { continuation: { tokens: { probability: number }[] } }[] };
}

const STEER = /* GraphQL */ `
  query ($saeId: ID!, $text: String!, $alphas: [Float!]!, $maxNewTokens: Int!) {
    steer(
      saeId: $saeId, prompt: $text, alphas: $alphas, maxNewTokens: $maxNewTokens
      edits: [{ target: { latent: 0 }, action: SET, strength: 1 }]
    ) {
      baseline { text }
      results { alpha continuation { text tokens { text probability } } }
    }
  }
`;

const SAES = '{ saes(first: 1) { edges { node { id } } } }';
const IMPORT_MODEL = /* GraphQL */ `
  mutation ($input: ImportModelInput!) {
    importModel(input: $input) {
      __typename
      ... on ImportModelSuccess { model { id } }
      ... on Error { message }
    }
  }
`;
const IMPORT_SAE = /* GraphQL */ `
  mutation ($input: ImportSaeInput!) {
    importSae(input: $input) {
      __typename
      ... on ImportSaeSuccess { sae { id } }
      ... on Error { message }
    }
  }
`;

/** That of an earlier measurement, or imported now. */
async function importedSae(api: ApiClient): Promise<string> {
  const { saes } = await api.request<{ saes: { edges: { node: { id: string } }[] } }>(SAES);
  const [known] = saes.edges;
  if (known) return known.node.id;
  type Imported = Record<string, { __typename: 'ImportedSuccess' } & Record<'model' | 'sae', { id: string }>>;
  const make = async (query: string, input: object) =>
    success(Object.values(await api.request<Imported>(query, { input }))[0]!);
  const { model } = await make(IMPORT_MODEL, { path: GGUF });
  return (await make(IMPORT_SAE, { modelId: model.id, path: 'sae' })).sae.id;
}

function shapeOf({ nFree }: ServedWork) {
  return { dModel: 576, nFree, nConcepts: 0, activation: 'RELU', k: 1, valueHeads: null } as const;
}

/** The same random SAE as SAELens would write it. */
async function writeSae(work: ServedWork, directory: string): Promise<void> {
  const weights = initSae(shapeOf(work), 0);
  const names = {
    W_enc: 'encoder.weight',
    b_enc: 'encoder.bias',
    W_dec: 'decoder.weight',
    b_dec: 'decoder.bias',
  };
  const arrays = Object.fromEntries(Object.entries(names).map(([theirs, ours]) => [theirs, weights[ours]!]));
  await writeSafetensors(join(directory, 'sae_weights.safetensors'), arrays);
  const config = {
    ...{ architecture: 'standard', d_in: 576, d_sae: work.nFree, apply_b_dec_to_input: false },
    ...{ hook_name: `blocks.${work.layer}.hook_resid_post`, sae_lens_version: '6.0.0' },
  };
  await writeFile(join(directory, 'cfg.json'), JSON.stringify(config));
}

function createSae(work: ServedWork): Sae {
  const config = shapeOf(work);
  return new Sae({
    ...{ config, concepts: [], bestStep: 0, weights: initSae(config, 0) },
    settings: { ...ALIGNMENT_PRESETS.PAPER, layer: work.layer, nFree: work.nFree },
    normalization: { mean: new Float32Array(576), scale: 1 },
    conceptMeans: new Float32Array(0),
  });
}

async function openModel(directory: string): Promise<{ tokenizer: Tokenizer }> {
  const files = openFiles(async () => join(directory, 'import', GGUF));
  try {
    return { tokenizer: loadTokenizer((await openCheckpoint(files, GGUF)).tokenizer) };
  } finally {
    await files.close();
  }
}

async function loadModel(directory: string): Promise<LanguageModel> {
  const files = openFiles(async () => join(directory, 'import', GGUF));
  const { config, tokenizer, weights } = await openCheckpoint(files, GGUF);
  const path = join(directory, 'alone.safetensors');
  await writeChunks(path, weights.chunks());
  await files.close();
  return loadLanguageModel({ weights: path, config, tokenizer });
}

/** The beginning of a text that has this many tokens. @throws Error when no beginning does. */
async function firstTokens({ encode, decode }: Tokenizer, count: number): Promise<string> {
  const text = decode(encode(await readFile(TEXT, 'utf8')).slice(0, count));
  if (encode(text).length !== count)
    throw new Error(`the text has ${encode(text).length} tokens, not ${count}`);
  return text;
}

/** Activations captured elsewhere: imported, aligned, looked at and exported through the API, on the real engine. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../src/formats/safetensors.ts';
import { createRandom } from '../../src/random.ts';
import type { Api } from './api.ts';
import { contract } from './contract.ts';
import { openWorkedApi } from './workedApi.ts';

const D = 16;
const CONCEPTS = ['capital', 'language', 'currency'];
const IMPORT = `mutation ($input: ImportActivationsInput!) {
  importActivations(input: $input) {
    __typename
    ... on ImportActivationsSuccess {
      model { id name nParams tags captured { layer } config { architecture nLayers dModel dHead nCtx } files { name } }
      dataset { id name kind splits { name size } ontology { slug concepts { key label } } }
    }
    ... on InputError { message path }
    ... on NotFoundError { message }
  }
}`;

interface Row {
  line: { prompt: string; concept: string; entity: string; answer?: string; split?: string };
  h: Float32Array;
}

const random = createRandom(5, 'activations');
const vector = (scale: number) => Float32Array.from({ length: D }, () => scale * random.normal());
const directions = CONCEPTS.map(() => vector(2));
/** Twelve countries, each asked twice about each concept: a direction for the concept, one for the country, and noise. */
const ROWS: Row[] = Array.from({ length: 12 }, (_, e) => ({
  entity: `country ${e}`,
  own: vector(1),
})).flatMap(({ entity, own }) =>
  CONCEPTS.flatMap((concept, c) =>
    ['TRAIN', 'test_ood'].map((split) => ({
      line: { prompt: `${split} ${concept} of ${entity}`, concept, entity, answer: `the ${concept}`, split },
      h: vector(0.1).map((noise, i) => noise + directions[c]![i]! + own[i]!),
    })),
  ),
);

let api: Api;

beforeAll(async () => {
  api = await openWorkedApi();
});
afterAll(() => api.close());

const matrix = (rows: readonly Row[]) => ({
  data: Float32Array.from(rows.flatMap(({ h }) => Array.from(h))),
  shape: [rows.length, D],
});

/** A directory of shards of so many rows each, numbered without leading zeros, and their lines. */
async function write(name: string, rows: readonly Row[], perShard = 7): Promise<string> {
  const dir = join(api.importDir, name);
  await mkdir(dir);
  for (let start = 0, shard = 0; start < rows.length; start += perShard, shard++)
    await writeSafetensors(join(dir, `h-${shard}.safetensors`), {
      h: matrix(rows.slice(start, start + perShard)),
    });
  await writeFile(join(dir, 'lines.jsonl'), rows.map(({ line }) => JSON.stringify(line)).join('\n'));
  return dir;
}

const importActivations = async (input: object) => (await api.ask(IMPORT, { input })).importActivations;

async function start(name: string, input: object) {
  const field = `${name[0]!.toLowerCase()}${name.slice(1)}`;
  const query = `mutation ($input: ${name}Input!) { ${field}(input: $input) {
    __typename ... on StartRunSuccess { run { id } } ... on InputError { message path }
  } }`;
  return (await api.ask(query, { input }))[field];
}

async function finish(id: string): Promise<void> {
  for await (const { data } of await api.subscribe(contract('RunEvents'), { id })) {
    const { event } = data.runEvents;
    if (event.__typename !== 'RunStatusChanged') continue;
    expect(event.status).not.toBe('FAILED');
    if (event.status === 'SUCCEEDED') return;
  }
  throw new Error('the subscription ended first');
}

describe('import', () => {
  it('makes a model without weights, the dataset, and the ontology that the lines name', async () => {
    await write('world', ROWS);
    const { model, dataset } = await importActivations({ path: 'world', layer: 40, tags: ['big'] });
    expect(model).toMatchObject({
      ...{ name: 'world', nParams: 0, tags: ['big'], captured: { layer: 40 }, files: [] },
      config: { architecture: 'unknown', nLayers: 41, dModel: D, dHead: 0, nCtx: 0 },
    });
    expect(dataset.splits).toEqual([
      { name: 'TRAIN', size: 36 },
      { name: 'VALIDATION', size: 0 },
      { name: 'TEST_OOD', size: 36 },
    ]);
    expect(dataset.ontology).toEqual({
      slug: 'world',
      concepts: CONCEPTS.map((key) => ({ key, label: key })),
    });
  });

  it.each<[string, (dir: string) => Promise<unknown>, RegExp]>([
    [
      'rows that are not those of the lines',
      (dir) => writeFile(join(dir, 'lines.jsonl'), `${JSON.stringify(ROWS[0]!.line)}\n`),
      /the 2 shards have 10 rows together, lines.jsonl has 1 lines/,
    ],
    [
      'shards of different widths',
      (dir) =>
        writeSafetensors(join(dir, 'h-1.safetensors'), { h: { data: new Float32Array(9), shape: [3, 3] } }),
      /h-1.safetensors has activations of width 3, h-0.safetensors of width 16/,
    ],
    [
      'a value that is not a number',
      (dir) =>
        writeSafetensors(join(dir, 'h-1.safetensors'), {
          h: { data: new Float32Array(3 * D).fill(Number.NaN, 20, 21), shape: [3, D] },
        }),
      /h-1.safetensors: h has the value NaN at element 20; activations must be finite/,
    ],
    [
      'a truncated shard',
      async (dir) => {
        const whole = await import('node:fs/promises').then((fs) =>
          fs.readFile(join(dir, 'h-0.safetensors')),
        );
        await writeFile(join(dir, 'h-0.safetensors'), whole.subarray(0, -8));
      },
      /h-0.safetensors is not a readable safetensors file: tensor 'h' lies at bytes/,
    ],
    [
      'overlapping tensors',
      async (dir) => {
        const entry = { dtype: 'F32', shape: [1, 2], data_offsets: [0, 8] };
        const header = Buffer.from(JSON.stringify({ a: entry, b: { ...entry, data_offsets: [4, 12] } }));
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(header.length));
        await writeFile(join(dir, 'h-0.safetensors'), Buffer.concat([length, header, Buffer.alloc(12)]));
      },
      /tensor 'b' overlaps tensor 'a'/,
    ],
    [
      'two tensors in a shard',
      (dir) => writeSafetensors(join(dir, 'h-0.safetensors'), { a: matrix(ROWS), b: matrix(ROWS) }),
      /h-0.safetensors must have one tensor.*it has 2 \(a, b\)/,
    ],
    [
      'a tensor of another shape',
      (dir) =>
        writeSafetensors(join(dir, 'h-0.safetensors'), {
          a: { data: new Float32Array(8), shape: [2, 2, 2] },
        }),
      /h-0.safetensors: a has shape \[2,2,2\]/,
    ],
    [
      'fields that are missing, by line',
      (dir) =>
        writeFile(
          join(dir, 'lines.jsonl'),
          '{"prompt":"a","concept":"b","entity":"c"}\n{"prompt":"a","concept":"b"}\n\n{}',
        ),
      /3 bad lines.*\nline 2: entity .*\nline 3: it is empty; every row.*\nline 4: prompt .*concept .*entity/,
    ],
    ['no lines', (dir) => writeFile(join(dir, 'more.jsonl'), ''), /must have one .jsonl file.*it has 2/],
    [
      'a link out of the import directory',
      (dir) => symlink('/etc/hosts', join(dir, 'h-9.safetensors')),
      /leads out of the import directory/,
    ],
  ])('refuses %s, and stores nothing', async (name, spoil, message) => {
    const directory = name.replaceAll(/\W+/g, '-');
    await spoil(await write(directory, ROWS.slice(0, 10)));
    const count = async () => {
      const { models, datasets } = await api.ask('{ models { totalCount } datasets { totalCount } }');
      return [models.totalCount, datasets.totalCount];
    };
    const before = await count();
    expect(await importActivations({ path: directory, layer: 3 })).toMatchObject({
      __typename: 'InputError',
      message: expect.stringMatching(message),
    });
    expect(await count()).toEqual(before);
  });

  it.each<[object, RegExp]>([
    [{ path: '../x', layer: 1 }, /leads out of the import directory/],
    [{ path: 'nowhere', layer: 1 }, /does not exist/],
    [{ path: '.', layer: -2 }, /layer must be a whole number, -1 to 999; got -2/],
  ])('refuses %j', async (input, message) => {
    expect(await importActivations(input)).toMatchObject({ message: expect.stringMatching(message) });
  });
});

describe('what can be done with it', () => {
  let modelId: string;
  let saeId: string;
  let runId: string;
  const settings = {
    ...{ layer: 40, nFree: 24, unseenShare: 0.25, validationShare: 0, alphas: [1] },
    ...{ pretrain: { steps: 60, batchSize: 64 }, posttrain: { steps: 300, batchSize: 64 } },
  };
  beforeAll(async () => {
    await write('aligned', ROWS);
    modelId = (await importActivations({ path: 'aligned', layer: 40 })).model.id;
    runId = (await start('StartAlignmentRun', { modelId, settings })).run.id;
    await finish(runId);
  }, 300_000);

  it('is bound on prompts that it never learned from; what needs the model is empty', async () => {
    const { run } = await api.ask(
      `query ($id: ID!) { run(id: $id) { ... on AlignmentRun {
        binding(split: TEST_OOD) { accuracy valueAccuracy } chosenAlpha swaps { trials }
        reconstruction(split: TEST_OOD) { fvu } faithfulness(split: TEST_OOD) { replacement } sae { id }
        slots(first: 3) { edges { node { concept { key } topExamples(first: 2) { prompt } topTokens { token } } } }
      } } }`,
      { id: runId },
    );
    saeId = run.sae.id;
    expect(run.binding.accuracy).toBeGreaterThan(0.9);
    expect(run.reconstruction.fvu).toBeLessThan(0.6);
    expect(run).toMatchObject({ chosenAlpha: null, swaps: [], faithfulness: [] });
    expect(run.binding.valueAccuracy).toBeNull();
    for (const { node } of run.slots.edges) {
      expect(node.topTokens).toEqual([]);
      expect(node.topExamples[0].prompt).toMatch(new RegExp(`test_ood ${node.concept.key} of`));
    }
  });

  it('has latents to look at', async () => {
    const { run } = await api.ask(
      `query ($id: ID!) { run(id: $id) { ... on AlignmentRun {
        latent(index: 24) { firingRate { value } topExamples(first: 1) { example { prompt } } raisedTokens { token } }
        latents(concept: "capital", first: 1) { latent { index } }
      } } }`,
      { id: runId },
    );
    expect(run.latent.topExamples[0].example.prompt).toMatch(/capital of/);
    expect(run.latent.raisedTokens).toEqual([]);
    expect(run.latents).toHaveLength(1);
  });

  it('takes a baseline and an alignment sweep of its one layer', async () => {
    const { run } = await start('StartBaselineRun', {
      modelId,
      settings: { layer: 40, nFree: 16, steps: 20 },
    });
    await finish(run.id);
    const sweep = await start('StartAlignmentSweep', {
      modelId,
      settings: { ...settings, layer: undefined, posttrain: { steps: 10, batchSize: 64 } },
    });
    await finish(sweep.run.id);
  });

  it.each<[string, () => object, string[], RegExp]>([
    [
      'StartAlignmentRun',
      () => ({ settings: { ...settings, layer: 0 } }),
      ['settings', 'layer'],
      /layer must be 40/,
    ],
    [
      'StartAlignmentRun',
      () => ({ settings: { ...settings, preset: 'COUNTERFACTUAL' } }),
      ['settings', 'weights', 'silence'],
      /weights.silence must be 0, got 2/,
    ],
    [
      'StartAlignmentRun',
      () => ({ settings: { ...settings, mode: 'SEPARATE_VALUE' } }),
      ['settings', 'mode'],
      /mode must be JOINT or SEPARATE_ACTIVATION/,
    ],
    ['StartModelRun', () => ({ datasetId: '' }), ['modelId'], /training needs a model that computes/],
  ])('%s says what is not known', async (name, input, path, message) => {
    const { node } = await api.ask('query ($id: ID!) { node(id: $id) { ... on Model { dataset { id } } } }', {
      id: modelId,
    });
    const given = { modelId, ...input() };
    if ('datasetId' in given) given.datasetId = node.dataset.id;
    expect(await start(name, given)).toMatchObject({ path, message: expect.stringMatching(message) });
  });

  it('refuses a dataset that is not its own', async () => {
    await write('other', ROWS);
    const { dataset } = await importActivations({ path: 'other', layer: 40, name: 'aligned' });
    const answer = await start('StartAlignmentRun', { modelId, datasetId: dataset.id, settings });
    expect(answer).toMatchObject({ path: ['datasetId'], message: expect.stringMatching(/must be left out/) });
  });

  it('refuses swaps, sweeps of swaps, steering and texts by a typed error', async () => {
    const needs = expect.stringMatching(/needs a model that computes/);
    const sweep = await start('StartSwapSweep', { runId });
    expect(sweep).toMatchObject({ __typename: 'InputError', message: needs });
    const input = {
      runId,
      prompt: 'capital of country 1',
      sourceConcept: 'capital',
      targetConcept: 'language',
    };
    const { swapConcept } = await api.ask(contract('SwapConcept'), { input });
    expect(swapConcept).toMatchObject({ __typename: 'InputError', message: needs });
    const { errors } = await api.answer(contract('Activations'), {
      saeId,
      text: 'capital',
    });
    expect(errors).toMatchObject([{ message: needs, extensions: { code: 'INVALID_INPUT' } }]);
    await expect(
      api.subscribe(contract('Generation'), { input: { runId, prompt: 'capital' } }),
    ).rejects.toMatchObject({ message: needs });
  });
});

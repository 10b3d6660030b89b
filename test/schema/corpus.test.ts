/** Corpora through the API: imported, listed, read by runs on the real engine, deleted. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Api } from './api.ts';
import { contract } from './contract.ts';
import { openWorkedApi } from './workedApi.ts';

const IMPORT = `mutation ($input: ImportCorpusInput!) {
  importCorpus(input: $input) {
    __typename
    ... on ImportCorpusSuccess { corpus { id name documents bytes storage artifactHash tags } }
    ... on InputError { message path }
  }
}`;
const START = (name: string) => `mutation ($input: ${name}Input!) {
  ${name[0]!.toLowerCase()}${name.slice(1)}(input: $input) {
    __typename
    ... on StartRunSuccess { run { id } }
    ... on InputError { message path }
    ... on NotFoundError { message }
  }
}`;
const SMALL = { nFree: 32, swapTrials: 5, alphas: [1] };
const STAGES = { pretrain: { steps: 10, batchSize: 64 }, posttrain: { steps: 10, batchSize: 64 } };

let api: Api;

beforeAll(async () => {
  api = await openWorkedApi();
});
afterAll(() => api.close());

const importCorpus = async (input: object) => (await api.ask(IMPORT, { input })).importCorpus;

async function start(name: string, input: object) {
  const answer = await api.ask(START(name), { input });
  return Object.values(answer)[0] as {
    __typename: string;
    run: { id: string };
    message: string;
    path: string[];
  };
}

/** Follows a run to its end. */
async function finish(id: string): Promise<string> {
  for await (const { data } of await api.subscribe(contract('RunEvents'), { id })) {
    const { event } = data.runEvents;
    if (event.__typename === 'RunStatusChanged' && ['SUCCEEDED', 'FAILED'].includes(event.status))
      return event.status;
  }
  throw new Error('the subscription ended first');
}

describe('import', () => {
  it('takes files of a directory, each by its name, and lists what it made', async () => {
    await mkdir(join(api.importDir, 'texts'));
    await writeFile(
      join(api.importDir, 'texts', 'a.jsonl'),
      '{"text":"one"}\n{"type":"text","text":"two"}\n',
    );
    await writeFile(join(api.importDir, 'texts', 'b.txt'), 'three\nfour\n');
    const { corpus } = await importCorpus({ path: 'texts', tags: ['plain'] });
    expect(corpus).toMatchObject({ name: 'texts', documents: 3, bytes: 17, tags: ['plain'] });
    expect(corpus.storage).toBeGreaterThan(corpus.bytes);
    const { corpora, node } = await api.ask(
      'query ($id: ID!) { corpora { totalCount edges { node { id } } } node(id: $id) { ... on Corpus { name } } }',
      { id: corpus.id },
    );
    expect(corpora).toEqual({ totalCount: 1, edges: [{ node: { id: corpus.id } }] });
    expect(node).toEqual({ name: 'texts' });
  });

  it('gives equal documents equal files', async () => {
    const made = [];
    for (const name of ['x', 'y']) made.push((await importCorpus({ content: 'same text', name })).corpus);
    expect(made[0].artifactHash).toBe(made[1].artifactHash);
    const upload = new File(['{"text":"same text\\n"}'], 'same.jsonl');
    const { data } = await api.upload(
      IMPORT,
      { input: { files: [null] } },
      { 'variables.input.files.0': upload },
    );
    expect(data.importCorpus.corpus).toMatchObject({
      name: 'same.jsonl',
      artifactHash: made[0].artifactHash,
    });
  });

  it.each<[object, RegExp]>([
    [{}, /give one of path, content and files, got 0/],
    [{ path: '../x' }, /leads out of the import directory/],
    [{ path: 'link' }, /leads out of the import directory/],
    [{ content: ' \n\n' }, /no text/],
    [{ content: '{"text":1}', format: 'JSONL' }, /line 1: text must be text/],
    [{ path: 'bad' }, /^two.jsonl: 1 bad line, nothing was imported/],
  ])('refuses %j', async (input, message) => {
    await symlink('/etc/hosts', join(api.importDir, 'link')).catch(() => {});
    await mkdir(join(api.importDir, 'bad'), { recursive: true });
    await writeFile(join(api.importDir, 'bad', 'one.txt'), 'fine');
    await writeFile(join(api.importDir, 'bad', 'two.jsonl'), 'no');
    const before = (await api.ask('{ corpora { totalCount } }')).corpora.totalCount;
    expect(await importCorpus(input)).toMatchObject({
      __typename: 'InputError',
      message: expect.stringMatching(message),
    });
    expect((await api.ask('{ corpora { totalCount } }')).corpora.totalCount).toBe(before);
  });
});

describe('runs', () => {
  let modelId: string;
  let corpusId: string;
  beforeAll(async () => {
    const { generateDataset } = await api.ask(contract('GenerateDataset'), { input: { people: 6 } });
    const { run } = await start('StartModelRun', {
      datasetId: generateDataset.dataset.id,
      settings: { nLayers: 2, nHeads: 2, dModel: 16, steps: 20, batchSize: 16 },
    });
    await finish(run.id);
    const asked = await api.ask(
      'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }',
      run,
    );
    modelId = asked.run.model.id;
    const lines = Array.from({ length: 50 }, (_, i) => `{"text":"the city was born in ${i} ."}`);
    corpusId = (await importCorpus({ content: lines.join('\n'), format: 'JSONL' })).corpus.id;
  }, 300_000);

  it.each<[string, object, string]>([
    ['StartAlignmentRun', { settings: { ...SMALL, ...STAGES, pretrainOn: 'TEXTS' } }, 'pretrainOn'],
    ['StartBaselineRun', { settings: { nFree: 32, steps: 10, trainOn: 'TEXTS' } }, 'trainOn'],
    [
      'StartAlignmentSweep',
      {
        layers: [0, 1],
        settings: { ...SMALL, ...STAGES, silenceOn: 'TEXTS', weights: { silence: 1 } },
      },
      'silenceOn',
    ],
  ])(
    '%s reads texts, and needs a corpus for it',
    async (name, input, setting) => {
      const without = await start(name, { modelId, ...input });
      expect(without).toMatchObject({ __typename: 'InputError', path: ['corpusId'] });
      expect(without.message).toContain(`corpusId is needed: ${setting} TEXTS`);
      const { run } = await start(name, { modelId, corpusId, ...input });
      expect(await finish(run.id)).toBe('SUCCEEDED');
      const OF = '... on AlignmentRun { corpus { id } } ... on BaselineRun { corpus { id } }';
      const shown = await api.ask(
        `query ($id: ID!) { run(id: $id) { ${OF} ... on AlignmentSweepRun { parts { edges { node { corpus { id } } } } } } }`,
        run,
      );
      expect(JSON.stringify(shown)).toContain(corpusId);
    },
    300_000,
  );

  it('tells runs on different corpora apart', { timeout: 300_000 }, async () => {
    const other = (await importCorpus({ content: 'other words' })).corpus.id;
    const input = { modelId, settings: { nFree: 32, steps: 10, trainOn: 'TEXTS' } };
    const ids = [];
    for (const id of [corpusId, other])
      ids.push((await start('StartBaselineRun', { ...input, corpusId: id })).run.id);
    for (const id of ids) expect(await finish(id)).toBe('SUCCEEDED'); // until then they differ in their backend too
    const { compareRuns } = await api.ask(
      'query ($ids: [ID!]!) { compareRuns(ids: $ids) { settings { path } } }',
      { ids },
    );
    expect(compareRuns.settings).toEqual([{ path: 'run.corpusHash' }]);
  });

  it('refuses a corpus that nothing would read, and one that does not exist', async () => {
    const idle = await start('StartAlignmentRun', { modelId, corpusId, settings: { silenceOn: 'TEXTS' } });
    expect(idle).toMatchObject({ __typename: 'InputError', path: ['corpusId'] });
    expect(idle.message).toMatch(/nothing would read/);
    const gone = Buffer.from('Corpus:00000000-0000-0000-0000-000000000000').toString('base64');
    const settings = { pretrainOn: 'TEXTS' };
    expect(await start('StartAlignmentRun', { modelId, corpusId: gone, settings })).toMatchObject({
      __typename: 'NotFoundError',
      message: expect.stringMatching(/^Corpus .* does not exist/),
    });
  });

  it('is needed by its runs, and goes with its file', async () => {
    const DELETE = `mutation ($input: DeleteCorpusInput!) { deleteCorpus(input: $input) {
      __typename ... on ConflictError { dependants { type } } ... on DeleteSuccess { ids freedBytes }
    } }`;
    const refused = (await api.ask(DELETE, { input: { id: corpusId } })).deleteCorpus;
    expect(refused.__typename).toBe('ConflictError');
    expect(refused.dependants.length).toBeGreaterThanOrEqual(3);
    const { deleteCorpus } = await api.ask(DELETE, { input: { id: corpusId, cascade: true } });
    expect(deleteCorpus.ids).toContain(corpusId);
    expect(deleteCorpus.freedBytes).toBeGreaterThan(1000);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { insertQueuedRun } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
let dataset: Data;
beforeAll(async () => {
  api = await openApi();
  const input = { people: 2, tags: ['small', 'small', ' new '], notes: 'First\nline' };
  dataset = (
    await api.ask(
      `mutation ($input: GenerateDatasetInput!) { generateDataset(input: $input) {
        ... on GenerateDatasetSuccess { dataset { id name tags notes storage } } } }`,
      { input },
    )
  ).generateDataset.dataset;
});
afterAll(() => api.close());

const START = `mutation ($input: StartModelRunInput!) { startModelRun(input: $input) {
  ... on StartRunSuccess { run { id name tags notes } } ... on InputError { path message } } }`;
const start = async (input: object) =>
  (await api.ask(START, { input: { datasetId: dataset.id, ...input } })).startModelRun;
const update = async (variables: object) =>
  (await api.ask(contract('UpdateRun'), { ...variables })).updateRun;

describe('names, tags and notes', () => {
  it('are given to datasets at the start, tags once each', () => {
    expect(dataset).toMatchObject({ tags: ['small', 'new'], notes: 'First\nline' });
    expect(dataset.storage).toBeGreaterThan(500);
  });

  it('are given to runs at the start, and changed one by one later', async () => {
    const { run } = await start({ name: 'First try', tags: ['a'], notes: 'why' });
    expect(run).toMatchObject({ name: 'First try', tags: ['a'], notes: 'why' });
    const changed = await update({ id: run.id, tags: ['b', 'c'] });
    expect(changed).toMatchObject({
      __typename: 'UpdateRunSuccess',
      run: { id: run.id, name: 'First try', tags: ['b', 'c'], notes: 'why' },
    });
    expect((await update({ id: run.id, name: '', tags: [], notes: '' })).run).toMatchObject({
      name: null,
      tags: [],
      notes: '',
    });
  });

  it.each([
    ['an empty tag', { tags: ['a', ' '] }, ['tags', '1']],
    ['a tag that is too long', { tags: ['a'.repeat(51)] }, ['tags', '0']],
    ['too many tags', { tags: Array.from({ length: 21 }, (_, i) => `t${i}`) }, ['tags']],
    ['a name that is too long', { name: 'a'.repeat(201) }, ['name']],
    ['control characters in notes', { notes: 'a\u0007' }, ['notes']],
  ])('refuses %s, and starts nothing', async (_what, labels, path) => {
    const before = (await api.ask('{ runs { totalCount } }')).runs.totalCount;
    expect(await start(labels)).toMatchObject({ path });
    expect((await api.ask('{ runs { totalCount } }')).runs.totalCount).toBe(before);
    const { id } = await insertQueuedRun(api.database.db);
    expect(await update({ id: encodeGlobalId('ModelRun', id), ...labels })).toMatchObject({
      __typename: 'InputError',
      path,
    });
  });

  it('are changed for datasets, models and ontologies as well, whose names stay', async () => {
    const { ontology } = (
      await api.ask('query ($id: ID!) { node(id: $id) { ... on Dataset { ontology { id } } } }', {
        id: dataset.id,
      })
    ).node;
    const text = `mutation ($d: ID!, $o: ID!) {
      updateDataset(input: { id: $d, name: "Renamed" }) { ... on UpdateDatasetSuccess { dataset { name tags } } }
      updateOntology(input: { id: $o, tags: ["x"] }) { ... on UpdateOntologySuccess { ontology { slug tags notes } } }
      refused: updateOntology(input: { id: $o, name: "" }) { ... on InputError { path } }
      updateModel(input: { id: "${encodeGlobalId('Model', '00000000-0000-4000-8000-000000000000')}", name: "m" }) {
        ... on NotFoundError { message } } }`;
    const answer = await api.ask(text, { d: dataset.id, o: ontology.id });
    expect(answer).toMatchObject({
      updateDataset: { dataset: { name: 'Renamed', tags: ['small', 'new'] } },
      updateOntology: { ontology: { tags: ['x'], notes: '' } },
      refused: { path: ['name'] },
      updateModel: { message: expect.stringContaining('does not exist') },
    });
  });
});

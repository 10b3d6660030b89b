/** Lists that are filtered, searched and ordered. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { interventions } from '../../src/db/tables/index.ts';
import { decodeGlobalId, encodeGlobalId } from '../../src/schema/ids.ts';
import { insertModel, insertQueuedRun } from '../helpers/fixtures.ts';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

let api: Api;
/** Of three people. */
let dataset: { id: string; examples: Data; facts: Data };
beforeAll(async () => {
  api = await openApi();
  const made = await api.ask(contract('GenerateDataset'), { input: { people: 3, seed: 4 } });
  const { id } = made.generateDataset.dataset;
  dataset = (
    await api.ask(
      `query ($id: ID!) { dataset: node(id: $id) { id ... on Dataset {
        examples(first: 500) { edges { node { kind prompt answer entity concepts { id } } } }
        facts(first: 500) { edges { node { entity value concept { id key } } } }
      } } }`,
      { id },
    )
  ).dataset;
});
afterAll(() => api.close());

const nodes = (connection: Data): Data[] => connection.edges.map(({ node }: { node: Data }) => node);

test('examples are found by words, entity, concept and kind', async () => {
  const all = nodes(dataset.examples);
  const find = async (args: object) => {
    const query = `query ($id: ID!, $text: String, $entity: String, $kind: ExampleKind, $conceptId: ID) {
      dataset: node(id: $id) { ... on Dataset {
        examples(first: 500, text: $text, entity: $entity, kind: $kind, conceptId: $conceptId) {
          totalCount edges { node { kind prompt answer entity concepts { id } } } } } } }`;
    const { examples } = (await api.ask(query, { id: dataset.id, ...args })).dataset;
    expect(examples.totalCount).toBe(examples.edges.length);
    return nodes(examples);
  };
  const { entity } = all[0]!;
  const [first] = entity.split(' ');
  expect(await find({ entity })).toEqual(all.filter((one) => one.entity === entity));
  expect(await find({ entity: first })).toEqual([]);
  expect(await find({ kind: 'TEXT' })).toEqual(all.filter(({ kind }) => kind === 'TEXT'));
  const question = all.find(({ kind, answer }) => kind === 'QUESTION' && answer)!;
  const [word] = question.answer.split(' ');
  const found = await find({ text: `${word.toUpperCase()}  ${first}`, kind: 'QUESTION' });
  const has = (one: Data, part: string) => `${one.prompt} ${one.answer}`.toLowerCase().includes(part);
  expect(found).toEqual(
    all.filter(
      (one) => one.kind === 'QUESTION' && has(one, word.toLowerCase()) && has(one, first.toLowerCase()),
    ),
  );
  expect(found).toContainEqual(expect.objectContaining({ prompt: question.prompt }));
  const conceptId = question.concepts[0].id;
  const both = await find({ entity, conceptId, kind: 'QUESTION' });
  expect(both.length).toBeGreaterThan(0);
  expect(both.every((one) => one.entity === entity && one.concepts[0].id === conceptId)).toBe(true);
});

test('facts are found by words, entity and concept', async () => {
  const all = nodes(dataset.facts);
  const find = async (args: object) => {
    const query = `query ($id: ID!, $text: String, $entity: String, $conceptId: ID) {
      dataset: node(id: $id) { ... on Dataset {
        facts(first: 500, text: $text, entity: $entity, conceptId: $conceptId) {
          edges { node { entity value concept { id key } } } } } } }`;
    return nodes((await api.ask(query, { id: dataset.id, ...args })).dataset.facts);
  };
  const fact = all[1]!;
  expect(await find({ entity: fact.entity, conceptId: fact.concept.id })).toEqual([fact]);
  expect(await find({ text: fact.value.toLowerCase() })).toContainEqual(fact);
  expect(await find({ text: '%' })).toEqual([]);
});

test('models, datasets and SAEs are found by tag, words and time, and ordered by name', async () => {
  const { db } = api.database;
  const datasetId = decodeGlobalId(dataset.id).id;
  const ids = [];
  for (const [name, tags] of [
    ['beta', ['keep']],
    ['alpha', ['keep', 'old']],
    ['gamma', []],
  ] as const) {
    const id = encodeGlobalId('Model', await insertModel(db, datasetId));
    ids.push(id);
    await api.ask('mutation ($input: UpdateModelInput!) { updateModel(input: $input) { __typename } }', {
      input: { id, name, tags, notes: `about ${name}` },
    });
  }
  const query = (list: string, type: string) => `query ($filter: ${type}, $orderBy: NamedOrder) {
    ${list}(first: 50, filter: $filter, orderBy: $orderBy) { edges { node { name } } } }`;
  const names = async (filter: object, orderBy?: object) =>
    nodes((await api.ask(query('models', 'ModelFilter'), { filter, orderBy })).models).map(
      ({ name }) => name,
    );
  expect(await names({ tag: 'keep' })).toEqual(['alpha', 'beta']);
  expect(await names({ tag: 'keep' }, { field: 'NAME', direction: 'DESC' })).toEqual(['beta', 'alpha']);
  expect(await names({}, { field: 'NAME', direction: 'ASC' })).toEqual(['alpha', 'beta', 'gamma']);
  expect(await names({}, { field: 'CREATED_AT', direction: 'ASC' })).toEqual(['beta', 'alpha', 'gamma']);
  expect(await names({ text: 'ABOUT gam' })).toEqual(['gamma']);
  expect(await names({ since: '9000-01-01T00:00:00Z' })).toEqual([]);
  const { datasets } = await api.ask(query('datasets', 'DatasetFilter'), { filter: { text: 'no such' } });
  expect(datasets.edges).toEqual([]);
  const { saes } = await api.ask(query('saes', 'SaeFilter'), { filter: { tag: 'none', text: 'x' } });
  expect(saes.edges).toEqual([]);
});

test('interventions are found by what was asked and answered, and by time', async () => {
  const { db } = api.database;
  const run = await insertQueuedRun(db, { kind: 'ALIGNMENT', datasetId: decodeGlobalId(dataset.id).id });
  const [source, target] = [...new Set(nodes(dataset.facts).map(({ concept }) => concept.id))].map(
    (id) => decodeGlobalId(id).id,
  );
  const said = (text: string) => ({ text, tokens: [] });
  for (const [prompt, answer] of [
    ['Where was Ann born ?', 'Oslo'],
    ['Where was Bob born ?', 'Rome'],
  ] as const)
    await db.insert(interventions).values({
      ...{ runId: run.id, method: 'LATENT_DECODE', alpha: 1, prompt, expectedAnswer: null, slots: [] },
      ...{ sourceConceptId: source!, targetConceptId: target!, baseline: said(answer), result: said('x') },
    });
  const find = async (filter: object) => {
    const query =
      'query ($filter: InterventionFilter) { interventions(first: 9, filter: $filter) { edges { node { prompt } } } }';
    return nodes((await api.ask(query, { filter })).interventions).map(({ prompt }) => prompt);
  };
  expect(await find({ text: 'born ann' })).toEqual(['Where was Ann born ?']);
  expect(await find({ text: 'rome' })).toEqual(['Where was Bob born ?']);
  expect(await find({ since: '9000-01-01T00:00:00Z' })).toEqual([]);
});

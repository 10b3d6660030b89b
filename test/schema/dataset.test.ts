import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Api, type Data, openApi } from './api.ts';
import { contract } from './contract.ts';

const FACTS = [
  { type: 'ontology', slug: 'towns', name: 'Towns' },
  { type: 'concept', key: 'mayor' },
  { type: 'concept', key: 'river' },
  { type: 'fact', entity: 'Oslo', concept: 'river', value: 'Akerselva' },
  { type: 'fact', entity: 'Oslo', concept: 'mayor', value: 'Anne' },
];
const jsonl = (...lines: unknown[]) => lines.map((line) => JSON.stringify(line)).join('\n');
const UPLOAD = /* GraphQL */ `
  mutation ($input: ImportDatasetInput!) {
    importDataset(input: $input) {
      __typename
      ... on ImportDatasetSuccess { dataset { id name facts { totalCount edges { node { entity concept { key } value } } } } }
      ... on Error { message }
      ... on InputError { path }
    }
  }
`;

let api: Api;
let people: Data;
beforeAll(async () => {
  api = await openApi();
  people = (await api.ask(contract('GenerateDataset'), { input: { people: 3, seed: 4 } })).generateDataset;
});
afterAll(() => api.close());

const create = async (input: object) =>
  (await api.ask(contract('CreateOntology'), { input })).createOntology as Data;
const importIt = async (input: object) =>
  (await api.ask(contract('ImportDataset'), { input })).importDataset as Data;

describe('generateDataset', () => {
  it('answers the contract with splits, prompts and concepts', () => {
    expect(people.__typename).toBe('GenerateDatasetSuccess');
    expect(people.dataset).toMatchObject({
      kind: 'BIOGRAPHY',
      name: 'Biographies of 3 people, seed 4',
      splits: [{ name: 'TRAIN' }, { name: 'VALIDATION' }, { name: 'TEST_OOD' }],
    });
    const { edges } = people.dataset.examples;
    expect(edges).toHaveLength(3);
    expect(edges[0].node).toMatchObject({ concepts: [{ key: 'birth_date' }], answer: expect.any(String) });
  });

  it.each([
    [{ people: 0 }, 'people'],
    [{ people: 1_000_000 }, 'people'],
    [{ seed: -1 }, 'seed'],
    [{ name: '' }, 'name'],
  ])('refuses %j', async (input, field) => {
    const { generateDataset } = await api.ask(contract('GenerateDataset'), { input });
    expect(generateDataset).toMatchObject({ __typename: 'InputError', path: [field] });
  });

  it('shows the second field of a request what the first one changed', async () => {
    const field = '{ ... on GenerateDatasetSuccess { dataset { ontology { datasets { totalCount } } } } }';
    const { a, b } = await api.ask(`mutation {
      a: generateDataset(input: { people: 1, seed: 1 }) ${field}
      b: generateDataset(input: { people: 1, seed: 2 }) ${field}
    }`);
    const [before, after] = [a, b].map(({ dataset }: Data) => dataset.ontology.datasets.totalCount);
    expect(after).toBe(before + 1);
  });

  it('leaves wrong types to GraphQL', async () => {
    const { errors } = await api.answer(contract('GenerateDataset'), { input: { people: 1.5 } });
    expect(errors?.[0]?.message).toContain('Int cannot represent non-integer value: 1.5');
  });
});

describe('generateWorldDataset', () => {
  const GENERATE = /* GraphQL */ `
    mutation ($input: GenerateWorldDatasetInput!) {
      generateWorldDataset(input: $input) {
        __typename
        ... on GenerateWorldDatasetSuccess {
          dataset {
            name kind prefix answerEnd letterCase tags contentHash splits { name size }
            ontology { slug description concepts { key label } }
            examples(first: 100) { edges { node { prompt answers split } } }
          }
        }
        ... on InputError { path message }
      }
    }
  `;
  const generate = async (input: object) => (await api.ask(GENERATE, { input })).generateWorldDataset as Data;

  it('makes countries with their ontology, accepted answers and prefix', async () => {
    const { dataset } = await generate({ entities: 5, seed: 3, tags: ['real'] });
    expect(dataset).toMatchObject({
      ...{
        kind: 'WORLD',
        name: 'Countries, 5 of them, seed 3',
        answerEnd: '.',
        letterCase: false,
        tags: ['real'],
      },
      ontology: { slug: 'countries', description: expect.stringContaining('Open Database License') },
      prefix: expect.stringMatching(/^A country next to Peru is Ecuador\.\n/),
    });
    expect(dataset.ontology.concepts.map(({ key }: Data) => key)).toEqual([
      ...['capital', 'language', 'continent', 'demonym', 'neighbour'],
    ]);
    const { edges } = dataset.examples;
    expect(edges.some(({ node }: Data) => node.answers.length > 1)).toBe(true);
    const held = edges.filter(({ node }: Data) => node.split === 'TEST_OOD');
    expect(held.length / edges.length).toBeCloseTo(0.3);
    const again = await generate({ entities: 5, seed: 3 });
    expect(again.dataset.contentHash).toBe(dataset.contentHash);
  });

  it('makes verbs as an ontology of their own', async () => {
    const { dataset } = await generate({ subject: 'VERBS', entities: 5, name: 'mine' });
    expect(dataset).toMatchObject({ name: 'mine', letterCase: true, ontology: { slug: 'verbs' } });
    expect(dataset.splits).toEqual([
      ...[
        { name: 'TRAIN', size: 175 },
        { name: 'VALIDATION', size: 0 },
        { name: 'TEST_OOD', size: 75 },
      ],
    ]);
  });

  it.each([[{ entities: 4 }], [{ entities: 500 }], [{ seed: -1 }]])('refuses %j', async (input) => {
    expect(await generate(input)).toMatchObject({ __typename: 'InputError', path: Object.keys(input) });
  });
});

describe('createOntology', () => {
  it('stores concepts in order, and the next version by its number', async () => {
    const concepts = [{ key: 'boss' }, { key: 'friend', label: 'best friend' }];
    const first = await create({ slug: 'people', concepts });
    expect(first.ontology).toMatchObject({
      slug: 'people',
      version: 1,
      concepts: [{ key: 'boss' }, { key: 'friend' }],
    });
    const again = await create({ slug: 'people', concepts });
    expect(again).toMatchObject({
      __typename: 'ConflictError',
      message: expect.stringContaining('the next is 2'),
    });
    const second = await create({ slug: 'people', version: 2, concepts: [{ key: 'boss' }], name: null });
    expect(second.ontology).toMatchObject({ version: 2 });
    const { ontology } = await api.ask(contract('OntologyBySlug'), { slug: 'people' });
    expect(ontology.concepts).toEqual([{ key: 'boss', slots: { edges: [] } }]);
    expect(
      await api.ask('{ ontology(slug: "people", version: 1) { version concepts { label position } } }'),
    ).toEqual({
      ontology: {
        version: 1,
        concepts: [
          { label: 'boss', position: 0 },
          { label: 'best friend', position: 1 },
        ],
      },
    });
  });

  it.each([
    ['no concepts', { slug: 'empty', concepts: [] }, ['concepts']],
    [
      'a key twice',
      { slug: 'twice', concepts: [{ key: 'a' }, { key: 'b' }, { key: 'a' }] },
      ['concepts', '2', 'key'],
    ],
    ['a key with blanks', { slug: 'blank', concepts: [{ key: 'birth city' }] }, ['concepts', '0', 'key']],
    ['a slug in capitals', { slug: 'Towns', concepts: [{ key: 'a' }] }, ['slug']],
  ])('refuses %s', async (_what, input, path) => {
    expect(await create(input)).toMatchObject({ __typename: 'InputError', path });
  });
});

describe('importDataset', () => {
  it('takes content, a file on the server, and an upload', async () => {
    await writeFile(join(api.importDir, 'towns.jsonl'), jsonl(...FACTS));
    const byContent = await importIt({ content: jsonl(...FACTS) });
    const byPath = await importIt({ path: 'towns.jsonl' });
    for (const result of [byContent, byPath])
      expect(result).toMatchObject({ dataset: { kind: 'PROMPTS', ontology: { slug: 'towns' } } });
    const file = new File([jsonl(...FACTS)], 'mine.jsonl');
    const { data, errors } = await api.upload(
      UPLOAD,
      { input: { files: [null] } },
      { 'variables.input.files.0': file },
    );
    expect(errors).toBeUndefined();
    expect(data.importDataset.dataset).toMatchObject({
      name: 'mine.jsonl',
      facts: {
        totalCount: 2,
        edges: [
          { node: { entity: 'Oslo', concept: { key: 'river' }, value: 'Akerselva' } },
          expect.anything(),
        ],
      },
    });
  });

  it('shows all that is accepted, and asks about a fact of several values once', async () => {
    const content = jsonl(
      ...FACTS.filter(({ type }: Data) => type === 'ontology' || type === 'concept'),
      { type: 'fact', entity: 'Oslo', concept: 'river', value: ['Akerselva', 'Alna'] },
      ...['Akerselva', ['Akerselva', 'Alna'], null].map((answer) => ({
        ...{ type: 'prompt', prompt: 'The river of Oslo is', entity: 'Oslo', concept: 'river' },
        ...{ split: 'TRAIN', answer },
      })),
    );
    const { dataset } = await importIt({ content });
    const query = `query ($id: ID!) { node(id: $id) { ... on Dataset {
      examples { edges { node { answer answers } } } facts { edges { node { value } } } } } }`;
    const { node } = await api.ask(query, { id: dataset.id });
    expect(node.facts.edges.map((edge: Data) => edge.node.value)).toEqual(['Akerselva', 'Alna']);
    expect(node.examples.edges.map((edge: Data) => edge.node)).toEqual([
      { answer: 'Akerselva', answers: ['Akerselva'] },
      { answer: 'Akerselva', answers: ['Akerselva', 'Alna'] },
      { answer: null, answers: [] },
    ]);
    const questions = await api.ask(
      `mutation ($input: GenerateQuestionsInput!) { generateQuestions(input: $input) {
        ... on GenerateQuestionsSuccess { dataset { splits { size } facts { totalCount }
          examples(first: 1) { edges { node { answers } } } } } } }`,
      { input: { datasetId: dataset.id } },
    );
    expect(questions.generateQuestions.dataset).toEqual({
      splits: [{ size: 8 + 3 }, { size: 2 }, { size: 4 }],
      facts: { totalCount: 2 },
      examples: { edges: [{ node: { answers: ['Akerselva', 'Alna'] } }] },
    });
  });

  const WITH_PREFIX = `mutation ($input: ImportDatasetInput!) { importDataset(input: $input) { __typename
    ... on ImportDatasetSuccess { dataset { prefix answerEnd letterCase contentHash examples { edges { node { prompt } } } } }
    ... on InputError { path message } } }`;
  const PROMPT = {
    type: 'prompt',
    prompt: 'The river of Oslo is',
    answer: 'Alna',
    entity: 'Oslo',
    split: 'TRAIN',
  };

  it('keeps a prefix as it is, beside the prompts, and tells data apart by it', async () => {
    const content = jsonl(...FACTS, { ...PROMPT, concept: 'river' });
    const prefix = 'The river of Rome is Tiber.\n';
    const keep = async (input: object) =>
      (await api.ask(WITH_PREFIX, { input: { content, ...input } })).importDataset.dataset;
    const prefixed = await keep({ prefix, answerEnd: '.' });
    expect(prefixed).toMatchObject({
      ...{ prefix, answerEnd: '.' },
      examples: { edges: [{ node: { prompt: PROMPT.prompt } }] },
    });
    const others = [{}, { prefix: 'Rome' }, { prefix }, { prefix, answerEnd: '\n' }, { letterCase: true }];
    const hashes = await Promise.all(others.map(async (input) => (await keep(input)).contentHash));
    expect(new Set([...hashes, prefixed.contentHash]).size).toBe(6);
    expect(await keep({})).toMatchObject({ prefix: null, letterCase: false });
    expect(await keep({ letterCase: true })).toMatchObject({ letterCase: true });
  });

  it.each([
    ['an empty prefix', { prefix: '' }, ['prefix'], /must not be empty/],
    ['control characters', { prefix: 'a\u0007' }, ['prefix'], /control characters/],
    [
      'a prefix without end',
      { prefix: 'a'.repeat(10_001) },
      ['prefix'],
      /at most 10,000 characters; got 10,001/,
    ],
    ['an end that is a text', { prefix: 'a', answerEnd: 'a'.repeat(21) }, ['answerEnd'], /at most 20/],
  ])('refuses %s', async (_what, input, path, message) => {
    const content = jsonl(...FACTS, { ...PROMPT, concept: 'river' });
    const result = (await api.ask(WITH_PREFIX, { input: { content, ...input } })).importDataset;
    expect(result).toMatchObject({ __typename: 'InputError', path, message: expect.stringMatching(message) });
  });

  it('refuses a prefix before questions of two hops', async () => {
    const content = jsonl(...FACTS, { ...PROMPT, concepts: ['river', 'mayor'] });
    const result = (await api.ask(WITH_PREFIX, { input: { content, prefix: 'a' } })).importDataset;
    expect(result).toMatchObject({
      path: ['prefix'],
      message: expect.stringMatching(/one concept; "The river/),
    });
  });

  it('takes the published two-hop dataset as three uploads', async () => {
    const names = ['val_qa_data.json', 'facts.jsonl', 'train_qa_data.json'];
    const files = await Promise.all(
      names.map(async (name, i) => {
        const bytes = await readFile(new URL(`../../data/two-hop/${name}`, import.meta.url));
        return [`variables.input.files.${i}`, new File([bytes], name)];
      }),
    );
    const input = { format: 'TWO_HOP', files: names.map(() => null) };
    const { data } = await api.upload(contract('ImportDataset'), { input }, Object.fromEntries(files));
    expect(data.importDataset.dataset).toMatchObject({
      ...{ kind: 'TWO_HOP', ontology: { slug: 'two-hop' } },
      splits: [
        { name: 'TRAIN', size: 6400 },
        { name: 'VALIDATION', size: 1600 },
        { name: 'TEST_OOD', size: 0 },
      ],
    });
  });

  it('names the bad line of malformed JSONL and stores nothing', async () => {
    const count = '{ datasets { totalCount } }';
    const before = await api.ask(count);
    const result = await importIt({ content: `${jsonl(...FACTS)}\n{"type": "fact", "entity": ` });
    expect(result).toMatchObject({ __typename: 'InputError', message: expect.stringMatching(/line 6/) });
    expect(await api.ask(count)).toEqual(before);
  });

  it.each([
    ['a path out of the directory', { path: '../secret' }, ['path']],
    ['two sources', { path: 'a', content: 'b' }, ['path']],
    ['an id of another type', { content: '', ontologyId: () => people.dataset.id }, ['ontologyId']],
    ['a malformed id', { content: '', ontologyId: () => 'x' }, ['ontologyId']],
  ])('refuses %s', async (_what, { ontologyId, ...input }: Data, path) => {
    const result = await importIt({ ...input, ontologyId: ontologyId?.() });
    expect(result).toMatchObject({ __typename: 'InputError', path });
  });

  it('refuses an ontology that does not exist', async () => {
    const { data } = await api.answer(UPLOAD, {
      input: { content: jsonl(...FACTS), ontologyId: btoa('Ontology:00000000-0000-4000-8000-000000000000') },
    });
    expect(data.importDataset.__typename).toBe('NotFoundError');
  });
});

describe('generateQuestions', () => {
  const ASK = /* GraphQL */ `
    mutation ($id: ID!) {
      generateQuestions(input: { datasetId: $id }) {
        ... on GenerateQuestionsSuccess { dataset { kind examples(split: TEST_OOD) { totalCount edges { node { prompt answer kind } } } } }
        ... on Error { __typename message }
      }
    }
  `;

  it('asks about the facts of another dataset', async () => {
    const { dataset } = await importIt({ content: jsonl(...FACTS) });
    const { generateQuestions } = await api.ask(ASK, { id: dataset.id });
    const { examples } = generateQuestions.dataset;
    expect(examples.totalCount).toBeGreaterThan(0);
    expect(examples.edges[0].node).toMatchObject({
      answer: 'Akerselva',
      prompt: expect.stringContaining('Oslo'),
    });
  });

  it('refuses an unknown dataset', async () => {
    const id = btoa('Dataset:00000000-0000-4000-8000-000000000000');
    expect((await api.ask(ASK, { id })).generateQuestions.__typename).toBe('NotFoundError');
  });
});

describe('reading', () => {
  it('pages through examples by cursor, of one split and concept', async () => {
    const PAGE = /* GraphQL */ `
      query ($id: ID!, $concept: ID!, $after: String) {
        node(id: $id) {
          ... on Dataset {
            examples(first: 5, after: $after, split: TRAIN, conceptId: $concept) {
              totalCount
              pageInfo { hasNextPage endCursor }
              edges { node { id split concepts { key } } }
            }
          }
        }
      }
    `;
    const { ontology } = await api.ask('{ ontology(slug: "biography") { concepts { id key } } }');
    const { id: concept, key } = ontology.concepts[3];
    const seen: Data[] = [];
    let after: string | null = null;
    for (;;) {
      const { examples } = (await api.ask(PAGE, { id: people.dataset.id, concept, after })).node as Data;
      seen.push(...examples.edges.map((edge: Data) => edge.node));
      after = examples.pageInfo.endCursor;
      if (!examples.pageInfo.hasNextPage) {
        expect(new Set(seen.map((example) => example.id)).size).toBe(examples.totalCount);
        break;
      }
    }
    expect(seen.length).toBeGreaterThan(5);
    expect(seen.every((example) => example.split === 'TRAIN' && example.concepts[0].key === key)).toBe(true);
  });

  it('answers nested lists with as many statements as there are kinds of things', async () => {
    for (const slug of ['one', 'two', 'three'])
      await create({ slug, concepts: [{ key: 'a' }, { key: 'b' }] });
    const statements = vi.spyOn(api.database.pool, 'query');
    const { ontologies } = await api.ask(contract('Ontologies'));
    expect(ontologies.edges.length).toBeGreaterThan(5);
    // ontologies, their number, concepts, datasets, sizes of splits
    expect(statements).toHaveBeenCalledTimes(5);
    statements.mockRestore();
  });

  it('fetches anything again by its id, and answers null for what is not there', async () => {
    const { node } = await api.ask('query ($id: ID!) { node(id: $id) { __typename id } }', {
      id: people.dataset.id,
    });
    expect(node).toEqual({ __typename: 'Dataset', id: people.dataset.id });
    const nobody = btoa('Dataset:00000000-0000-4000-8000-000000000000');
    const { nodes } = await api.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
      ids: [nobody, people.dataset.id],
    });
    expect(nodes).toEqual([null, { id: people.dataset.id }]);
    expect(await api.ask('{ ontology(slug: "nothing") { id } }')).toEqual({ ontology: null });
  });

  it.each(['nonsense', '', btoa('Dataset:1'), btoa('Nothing:00000000-0000-4000-8000-000000000000')])(
    'says of %j that it is no id',
    async (id) => {
      const { data, errors } = await api.answer('query ($id: ID!) { node(id: $id) { id } }', { id });
      expect(data).toEqual({ node: null });
      expect(errors).toMatchObject([{ path: ['node'], extensions: { code: 'INVALID_INPUT', path: ['id'] } }]);
    },
  );

  it.each([
    ['first: -1', 'first'],
    ['first: 10000', 'first'],
    ['first: 1, last: 1', 'last'],
    ['after: "x"', 'after'],
  ])('refuses a page of %s', async (args, argument) => {
    const { errors } = await api.answer(`{ datasets(${args}) { totalCount } }`);
    expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT', path: [argument] } }]);
  });
});

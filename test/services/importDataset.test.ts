import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { loadEngineDataset } from '../../src/db/queries/engineDataset.ts';
import { datasets, examples, facts, ontologies } from '../../src/db/tables/index.ts';
import { splitsOfDatasets } from '../../src/services/dataset.ts';
import { generateQuestions, importDataset, type NewImport } from '../../src/services/datasetCreation.ts';
import { conceptsOfOntologies, findOntology, ontologiesByIds } from '../../src/services/ontology.ts';
import { createTestDatabase } from '../helpers/database.ts';

const published = fileURLToPath(new URL('../../data/two-hop', import.meta.url));
const lines = [
  { type: 'ontology', slug: 'towns', name: 'Towns' },
  { type: 'concept', key: 'mayor' },
  { type: 'concept', key: 'river' },
  { type: 'fact', entity: 'Oslo', concept: 'river', value: 'Akerselva' },
  {
    type: 'prompt',
    prompt: 'Which river runs through Oslo?',
    answer: 'Akerselva',
    entity: 'Oslo',
    concept: 'river',
    split: 'TRAIN',
  },
  { type: 'text', text: 'The Akerselva runs through Oslo.', entity: 'Oslo' },
];
const jsonl = (...entries: unknown[]) => entries.map((entry) => JSON.stringify(entry)).join('\n');

let database: Database;
let folder: string;
let importDir: string;
beforeAll(async () => {
  database = await createTestDatabase();
  folder = await mkdtemp(join(tmpdir(), 'import-'));
  importDir = join(folder, 'allowed');
  await mkdir(importDir);
  await writeFile(join(importDir, 'towns.jsonl'), jsonl(...lines));
  await writeFile(join(folder, 'secret.jsonl'), jsonl(...lines));
  await symlink(join(folder, 'secret.jsonl'), join(importDir, 'link.jsonl'));
  await symlink(folder, join(importDir, 'up'));
  await symlink('towns.jsonl', join(importDir, 'alias.jsonl'));
  await cp(published, join(importDir, 'two-hop'), { recursive: true });
});
afterAll(async () => {
  await database.close();
  await rm(folder, { recursive: true });
});

const run = (input: NewImport) => importDataset(database.db, input, importDir);
const upload = (name: string, text: string) => ({ name, bytes: [Buffer.from(text)] });
const stored = async () =>
  Promise.all([ontologies, datasets, facts, examples].map((table) => database.db.$count(table)));

describe('importDataset from JSONL', () => {
  it('opens nothing but regular files, and waits for none', async () => {
    execFileSync('mkfifo', [join(importDir, 'pipe.jsonl')]);
    await expect(run({ path: 'pipe.jsonl' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: 'path "pipe.jsonl" is neither a file nor a directory',
    });
    await rm(join(importDir, 'pipe.jsonl'));
  });

  it('takes a file by path, by content and by upload, into one ontology', async () => {
    const byPath = await run({ path: 'towns.jsonl' });
    const byContent = await run({ content: jsonl(...lines), name: 'Pasted' });
    const byUpload = await run({ files: [upload('mine.jsonl', jsonl(...lines))] });
    const byAlias = await run({ path: './alias.jsonl' });
    expect([byPath.name, byContent.name, byUpload.name]).toEqual(['towns.jsonl', 'Pasted', 'mine.jsonl']);
    expect(byPath.settings).toEqual({ format: 'JSONL', path: 'towns.jsonl', files: ['towns.jsonl'] });
    for (const dataset of [byContent, byUpload, byAlias]) {
      expect(dataset).toMatchObject({
        kind: 'PROMPTS',
        ontologyId: byPath.ontologyId,
        contentHash: byPath.contentHash,
      });
    }
    expect(await ontologiesByIds(database.db, [byPath.ontologyId])).toMatchObject([
      { slug: 'towns', version: 1, name: 'Towns' },
    ]);
    const engine = await loadEngineDataset(database.db, byPath.id);
    expect(engine).toMatchObject({
      concepts: [
        { key: 'mayor', label: 'mayor' },
        { key: 'river', label: 'river' },
      ],
      facts: [{ entity: 'Oslo', concept: 1, value: 'Akerselva' }],
      prompts: [
        { prompt: 'Which river runs through Oslo?', answer: 'Akerselva', concepts: [1], template: 'river' },
      ],
      texts: [{ text: 'The Akerselva runs through Oslo.', entity: 'Oslo', split: 'TRAIN' }],
    });
  });

  it('takes facts alone into a known ontology', async () => {
    const ontology = (await findOntology(database.db, 'towns'))!;
    const dataset = await run({ content: jsonl(lines[3]), ontologyId: ontology.id });
    expect(dataset.ontologyId).toBe(ontology.id);
    expect(dataset.contentHash).not.toBe((await run({ path: 'towns.jsonl' })).contentHash);
    await expect(run({ content: jsonl(lines[3]), ontologyId: crypto.randomUUID() })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  it('stores nothing of a file with a bad line, however late', async () => {
    const before = await stored();
    const entities = Array.from({ length: 12_000 }, (_, i) => ({ ...lines[3], entity: `Town ${i}` }));
    const header = [{ ...lines[0], slug: 'never' }, lines[1], lines[2]];
    const failure = run({ content: jsonl(...header, ...entities, { ...lines[3], concept: 'lake' }) });
    await expect(failure).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['lines', '12004'] });
    await expect(failure).rejects.toThrow('line 12004: concept lake is not in ontology never');
    expect(await stored()).toEqual(before);
  });

  it('needs exactly one source and one file', async () => {
    const content = jsonl(...lines);
    await expect(run({})).rejects.toThrow('give one of path, content and files, got 0 of them');
    await expect(run({ content, path: 'towns.jsonl' })).rejects.toThrow('got 2 of them');
    await expect(run({ files: [upload('a', content), upload('b', content)] })).rejects.toThrow(
      'a JSONL import takes one file, got 2',
    );
    await expect(run({ files: [upload('a\0', content)] })).rejects.toMatchObject({
      path: ['files', '0', 'name'],
    });
    await expect(run({ content, name: ' ' })).rejects.toMatchObject({ path: ['name'] });
    await expect(run({ content, format: 'CSV' as 'JSONL' })).rejects.toMatchObject({ path: ['format'] });
  });

  it('refuses more concepts than an ontology may have', async () => {
    const many = Array.from({ length: 1001 }, (_, i) => ({ type: 'concept', key: `k${i}` }));
    await expect(run({ content: jsonl(lines[0], ...many, { ...lines[3], concept: 'k1' }) })).rejects.toThrow(
      'The file has 1001 concepts, an ontology has at most 1000.',
    );
  });

  it.each([
    ['../secret.jsonl', 'leads out of the import directory'],
    ['two-hop/../../secret.jsonl', 'leads out of the import directory'],
    ['link.jsonl', 'leads out of the import directory'],
    ['up/secret.jsonl', 'leads out of the import directory'],
    ['..', 'leads out of the import directory'],
    ['/etc/passwd', 'must be relative to the import directory'],
    ['missing.jsonl', 'does not exist in the import directory'],
    ['towns.jsonl\0', 'null character'],
  ])('does not read %j', async (path, reason) => {
    const before = await stored();
    const failure = run({ path });
    await expect(failure).rejects.toMatchObject({ code: 'INVALID_INPUT', path: ['path'] });
    await expect(failure).rejects.toThrow(reason);
    // What the server's directories are called is nobody's business.
    await expect(failure).rejects.not.toThrow(folder);
    expect(await stored()).toEqual(before);
  });
});

describe('importDataset of the published two-hop files', () => {
  it('stores all facts and questions, and asks about the facts', async () => {
    const { db } = database;
    const dataset = await run({ format: 'TWO_HOP', path: 'two-hop', name: 'Two hops' });
    expect(dataset).toMatchObject({ kind: 'TWO_HOP', name: 'Two hops' });
    expect(await splitsOfDatasets(db, [dataset.id])).toEqual([
      [
        { name: 'TRAIN', size: 6400 },
        { name: 'VALIDATION', size: 1600 },
        { name: 'TEST_OOD', size: 0 },
      ],
    ]);
    const engine = await loadEngineDataset(db, dataset.id);
    expect(engine.facts).toHaveLength(800);
    expect(engine.concepts).toHaveLength(20);
    expect(engine.prompts[0]).toMatchObject({
      prompt: 'Who is the friend of the report of Avery?',
      answer: 'Gerald',
      concepts: ['reports_to', 'friend_of'].map((key) => engine.concepts.findIndex((c) => c.key === key)),
    });
    const asked = await generateQuestions(db, { datasetId: dataset.id });
    expect(asked.ontologyId).toBe(dataset.ontologyId);
    expect((await splitsOfDatasets(db, [asked.id]))[0]!.map((split) => split.size)).toEqual([
      8800, 1600, 3200,
    ]);
    const [concepts] = await conceptsOfOntologies(db, [asked.ontologyId]);
    expect(concepts!.map((concept) => concept.label)).toContain('debtor');
  });

  it('answers with both people and states the facts where it is to be learned by steps', async () => {
    const { db } = database;
    const dataset = await run({ format: 'TWO_HOP', path: 'two-hop', stepwise: true });
    expect(dataset.settings).toMatchObject({ stepwise: true });
    const engine = await loadEngineDataset(db, dataset.id);
    expect(engine.prompts).toHaveLength(8000);
    expect(engine.prompts[0]).toMatchObject({
      prompt: 'Who is the friend of the report of Avery?',
      answer: 'Dominic Gerald',
    });
    expect(engine.texts.map(({ text }) => text)).toContain('The boss of Ashley is Donna');
    expect(engine.facts).toHaveLength(800);
    for (const field of ['stepwise', 'halves'])
      await expect(run({ content: '', [field]: true })).rejects.toMatchObject({ path: [field] });
  });

  it('states the facts in the sentences that lie beside the files, in the place of ours, and halves the questions', async () => {
    const { db } = database;
    const fact = (entity_1: string, relation: string, entity_2: string) => ({ entity_1, relation, entity_2 });
    const [first, second] = [fact('Ann', 'knows', 'Bob'), fact('Bob', 'likes', 'Cy')];
    const fourth = fact('Ann', 'likes', 'Bob');
    const question = (one: typeof first) => ({
      question: `Who is the like of the ${one.relation === 'knows' ? 'know' : 'like'} of Ann?`,
      answer: 'Cy',
      fact: ['Ann', one.relation, 'Bob', 'likes', 'Cy'],
    });
    const dataset = await run({
      ...{ format: 'TWO_HOP', stepwise: true, halves: true },
      files: [
        upload('facts.jsonl', [first, second, fourth].map((one) => JSON.stringify(one)).join('\n')),
        upload('train_qa_data.json', JSON.stringify([question(first), question(fourth)])),
        upload('val_qa_data.json', '[]'),
        upload(
          'relation_sentences.json',
          JSON.stringify({ knows: ['{B} met {A}'], likes: ['{A} is {B}’s'] }),
        ),
      ],
    });
    expect(dataset.settings).toMatchObject({ halves: true });
    const { texts, prompts } = await loadEngineDataset(db, dataset.id);
    expect(texts.map(({ text }) => text)).toEqual(['Ann met Bob', 'Cy is Bob’s', 'Bob is Ann’s']);
    expect(prompts.map(({ split, answer }) => [split, answer])).toEqual([
      ['TRAIN', 'Bob Cy'],
      ['VALIDATION', 'Bob Cy'],
    ]);
  });

  it('says which file is missing, and that the ontology is its own', async () => {
    await expect(run({ format: 'TWO_HOP', files: [upload('facts.jsonl', '')] })).rejects.toThrow(
      'train_qa_data.json is missing, found facts.jsonl',
    );
    const ontologyId = (await findOntology(database.db, 'two-hop'))!.id;
    await expect(run({ format: 'TWO_HOP', path: 'two-hop', ontologyId })).rejects.toMatchObject({
      path: ['ontologyId'],
    });
  });
});

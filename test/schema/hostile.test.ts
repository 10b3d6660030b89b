import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Place, placesOf, type Seeds } from '../../bench/fuzz/places.ts';
import { HOSTILE_STRINGS } from '../../bench/fuzz/strings.ts';
import { RUN_KINDS } from '../../src/engine/contract/runs.ts';
import { AppError } from '../../src/errors.ts';
import { encodeGlobalId, typenameOf } from '../../src/schema/ids.ts';
import { buildSchema } from '../../src/schema/schema.ts';
import { importDataset } from '../../src/services/datasetCreation.ts';
import { conceptsOfOntologies, createOntology } from '../../src/services/ontology.ts';
import { insertModel, insertQueuedRun } from '../helpers/fixtures.ts';
import { type Api, openApi } from './api.ts';

/** Ids of things that do not exist; all other hostile strings are no ids. */
const WELL_FORMED = new Set(
  ['ModelRun', 'Nothing'].map((type) => encodeGlobalId(type, '00000000-0000-4000-8000-000000000000')),
);

let api: Api;
let places: Place[];
beforeAll(async () => {
  const away = () => {
    throw new AppError('UNAVAILABLE', 'this test has no engine and imports nothing');
  };
  api = await openApi({
    engine: { call: away, stream: away, info: away } as never,
    // A name that a repository could have would cost a process each time.
    imports: { read: async () => away() } as never,
  });
  places = placesOf(buildSchema(), await seed(api), {
    ...{ people: 1, entities: 2, relations: 2, trainShare: 0.5 },
  });
});
afterAll(() => api.close());

/** One of everything that fields with arguments are on. */
async function seed({ database: { db } }: Api): Promise<Seeds> {
  const ontology = await createOntology(db, { slug: 'o', concepts: [{ key: 'a' }, { key: 'b' }] });
  const [concepts] = await conceptsOfOntologies(db, [ontology.id]);
  const content = '{"type":"fact","entity":"x","concept":"a","value":"y"}\n';
  const dataset = await importDataset(db, { content, ontologyId: ontology.id }, '/');
  const modelId = await insertModel(db, dataset.id);
  const of = { datasetId: dataset.id, modelId };
  const runs: Record<string, string> = {};
  for (const kind of RUN_KINDS) {
    const part = kind === 'CHECKPOINT_ANALYSIS' && { step: 0, parentId: runs.GrokkingRun };
    runs[typenameOf(kind)] = (await insertQueuedRun(db, { ...of, kind, ...part })).id;
  }
  const ids = {
    ...{ Ontology: ontology.id, Concept: concepts![0]!.id, Dataset: dataset.id, Model: modelId },
    ...runs,
  };
  return Object.fromEntries(Object.entries(ids).map(([type, id]) => [type, encodeGlobalId(type, id)]));
}

interface Told {
  code?: string;
  path?: readonly string[];
  message: string;
}

/** Everything that the answer says went wrong, in one shape. */
async function tell({ operation, query, variables }: Place, text: string): Promise<Told[]> {
  if (operation === 'subscription') {
    const events = await api.subscribe(query, variables(text)).catch((error: unknown) => error);
    if (!(events as AsyncIterableIterator<unknown>).return) {
      const { message, extensions } = events as { message: string; extensions?: Told };
      return [{ ...extensions, message }];
    }
    await (events as AsyncIterableIterator<unknown>).return!();
    return [];
  }
  const { data, errors } = await api.answer(query, variables(text));
  const thrown = (errors ?? []).flatMap(({ message, extensions }) => {
    const issues = extensions?.issues as Told[] | undefined;
    return issues
      ? issues.map((issue) => ({ code: 'INVALID_INPUT', ...issue }))
      : [{ ...extensions, message } as Told];
  });
  const results = Object.values(data ?? {}) as ({ issues?: Told[] } | null)[];
  return [
    ...thrown,
    ...results.flatMap((result) =>
      (result?.issues ?? []).map((issue) => ({ ...issue, code: 'INVALID_INPUT' })),
    ),
  ];
}

describe('any text that a caller may send', () => {
  it('reaches every place that takes one', () => {
    const names = places.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(90);
    for (const name of [
      'Query.ontology(slug)',
      'Query.node(id)',
      'ModelRun.metrics(names.0)',
      'Subscription.runEvents(after)',
      'Mutation.createApiKey(input.name)',
    ])
      expect(names).toContain(name);
  });

  it('is refused at its place where it holds NUL or half a character, and never costs an INTERNAL or two seconds', async () => {
    const wrong: string[] = [];
    let slowest = { ms: 0, at: '' };
    for (const place of places) {
      const queue = HOSTILE_STRINGS[Symbol.iterator]();
      // Few at a time: what waits for the others is not slow itself.
      const send = async () => {
        for (const text of queue) {
          const started = performance.now();
          const told = await tell(place, text);
          const ms = performance.now() - started;
          if (ms > slowest.ms) slowest = { ms, at: `${place.name} ${text.slice(0, 60)}` };
          const shown = JSON.stringify(text.slice(0, 60));
          for (const { code, message } of told)
            if (!code || code === 'INTERNAL') wrong.push(`${place.name} ${shown}: ${code} ${message}`);
          const mustRefuse = /[\0\p{Cs}]/u.test(text) || (place.type === 'ID' && !WELL_FORMED.has(text));
          const isNamed = told.some(
            ({ code, path }) => code === 'INVALID_INPUT' && path?.join('.') === place.path.join('.'),
          );
          if (mustRefuse && !isNamed) wrong.push(`${place.name} ${shown}: ${JSON.stringify(told)}`);
        }
      };
      await Promise.all(Array.from({ length: 4 }, send));
    }
    expect(wrong).toEqual([]);
    expect(slowest.ms, slowest.at).toBeLessThan(2000);
  });
});

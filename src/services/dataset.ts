/** Datasets as they are stored: lists, pages of their facts and examples, sizes of their splits. */
import { and, asc, count, eq, exists, inArray, sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import { groupRows, readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage, readPages } from '../db/queries/page.ts';
import { type Found, hasWords, type NamedOrder, orderFound, whereFound } from '../db/queries/search.ts';
import {
  concepts,
  type DatasetKind,
  datasets,
  type ExampleKind,
  exampleConcepts,
  examples,
  facts,
} from '../db/tables/index.ts';
import { SPLITS, type Split } from '../engine/contract/dataset.ts';
import type { Concept } from './ontology.ts';

export type Dataset = typeof datasets.$inferSelect;
export type Example = typeof examples.$inferSelect;
export type Fact = typeof facts.$inferSelect;

export interface DatasetFilter extends Found {
  ontologyId?: string | null;
  kind?: DatasetKind | null;
}

/** Which examples, besides which page of them. */
export interface ExamplePageArgs extends PageArgs {
  split?: Split | null;
  kind?: ExampleKind | null;
  /** Exactly as it is written. */
  entity?: string | null;
  /** Words of its prompt or its answer. */
  text?: string | null;
  /** About this concept, at any hop. */
  conceptId?: string | null;
}

/** Which facts, besides which page of them. */
export interface FactPageArgs extends PageArgs {
  conceptId?: string | null;
  /** Exactly as it is written. */
  entity?: string | null;
  /** Words of its entity or its value. */
  text?: string | null;
}

/** Questions and texts of one split. */
export interface SplitSize {
  name: Split;
  size: number;
}

const NEWEST_FIRST = { columns: [datasets.createdAt, datasets.id], direction: 'desc' } as const;

/** For each id its dataset, or null. */
export function datasetsByIds(db: Executor, ids: readonly string[]): Promise<(Dataset | null)[]> {
  return readByIds(db, datasets, datasets.id, ids);
}

/** For each id its example, or null. */
export function examplesByIds(db: Executor, ids: readonly string[]): Promise<(Example | null)[]> {
  return readByIds(db, examples, examples.id, ids);
}

/** For each id its fact, or null. */
export function factsByIds(db: Executor, ids: readonly string[]): Promise<(Fact | null)[]> {
  return readByIds(db, facts, facts.id, ids);
}

/** Datasets that fit the filter, newest first. */
export function listDatasets(
  db: Executor,
  filter: DatasetFilter,
  args: PageArgs,
  order?: NamedOrder,
): Promise<Page<Dataset>> {
  const where = and(
    filter.ontologyId ? eq(datasets.ontologyId, filter.ontologyId) : undefined,
    filter.kind ? eq(datasets.kind, filter.kind) : undefined,
    whereFound(datasets, filter),
  );
  return readPage(db, datasets, { where, order: orderFound(datasets, order) }, args);
}

/** For each ontology one page of its datasets, newest first. */
export function pageDatasetsOfOntologies(
  db: Executor,
  ontologyIds: readonly string[],
  args: PageArgs,
): Promise<Map<string, Page<Dataset>>> {
  const query = { by: datasets.ontologyId, values: ontologyIds, order: NEWEST_FIRST };
  return readPages(db, datasets, query, args);
}

/** For each dataset one page of the examples that fit, in stored order. */
export function pageExamplesOfDatasets(
  db: Executor,
  datasetIds: readonly string[],
  args: ExamplePageArgs,
): Promise<Map<string, Page<Example>>> {
  const where = and(
    args.split ? eq(examples.split, args.split) : undefined,
    args.conceptId ? isAbout(db, args.conceptId) : undefined,
    args.kind ? eq(examples.kind, args.kind) : undefined,
    args.entity ? eq(examples.entity, args.entity) : undefined,
    hasWords(sql`concat_ws(' ', ${examples.prompt}, ${examples.answer})`, args.text),
  );
  const order = { columns: [examples.position], direction: 'asc' } as const;
  return readPages(db, examples, { where, by: examples.datasetId, values: datasetIds, order }, args);
}

/** For each dataset one page of the facts that fit, in stored order. */
export function pageFactsOfDatasets(
  db: Executor,
  datasetIds: readonly string[],
  args: FactPageArgs,
): Promise<Map<string, Page<Fact>>> {
  const where = and(
    args.conceptId ? eq(facts.conceptId, args.conceptId) : undefined,
    args.entity ? eq(facts.entity, args.entity) : undefined,
    hasWords(sql`concat_ws(' ', ${facts.entity}, ${facts.value})`, args.text),
  );
  const order = { columns: [facts.position], direction: 'asc' } as const;
  return readPages(db, facts, { where, by: facts.datasetId, values: datasetIds, order }, args);
}

/** For each dataset the size of each split, empty ones included. */
export async function splitsOfDatasets(db: Executor, datasetIds: readonly string[]): Promise<SplitSize[][]> {
  const rows = await db
    .select({ datasetId: examples.datasetId, split: examples.split, n: count() })
    .from(examples)
    .where(inArray(examples.datasetId, [...datasetIds]))
    .groupBy(examples.datasetId, examples.split);
  const groups = groupRows(rows, 'datasetId');
  return datasetIds.map((id) =>
    SPLITS.map((name) => ({ name, size: groups.get(id)?.find((row) => row.split === name)?.n ?? 0 })),
  );
}

/** For each example the concepts it is about, in the order of its hops; none for texts. */
export async function conceptsOfExamples(db: Executor, exampleIds: readonly string[]): Promise<Concept[][]> {
  const rows = await db
    .select({ exampleId: exampleConcepts.exampleId, concept: concepts })
    .from(exampleConcepts)
    .innerJoin(concepts, eq(concepts.id, exampleConcepts.conceptId))
    .where(inArray(exampleConcepts.exampleId, [...exampleIds]))
    .orderBy(asc(exampleConcepts.hop));
  const groups = groupRows(rows, 'exampleId');
  return exampleIds.map((id) => (groups.get(id) ?? []).map((row) => row.concept));
}

function isAbout(db: Executor, conceptId: string) {
  const link = and(eq(exampleConcepts.exampleId, examples.id), eq(exampleConcepts.conceptId, conceptId));
  return exists(db.select({ hop: exampleConcepts.hop }).from(exampleConcepts).where(link));
}

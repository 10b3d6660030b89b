/** Stores a stream of items as one dataset, in batches, within the caller's transaction. */
import { createHash, randomUUID } from 'node:crypto';
import { eq } from 'drizzle-orm';
import type { DatasetItem, FactItem, PromptItem, TextItem } from '../data/items.ts';
import type { Executor } from '../db/client.ts';
import {
  type ExampleConceptRow,
  type ExampleRow,
  type FactRow,
  insertExamples,
  insertFacts,
} from '../db/queries/datasets.ts';
import { type DatasetKind, datasets } from '../db/tables/index.ts';
import { invalidInput } from '../errors.ts';
import type { Dataset } from './dataset.ts';
import { conceptsOfOntologies, type Ontology } from './ontology.ts';

/** Rows of one statement. */
const BATCH = 5000;
/** Facts and examples; what the engine's memory and one request's patience allow. */
export const MAX_ITEMS = 2_000_000;

export interface NewDataset {
  name: string;
  kind: DatasetKind;
  /** How its prompts are put to a model. */
  prefix?: string | undefined;
  answerEnd?: string | undefined;
  chat?: boolean | undefined;
  letterCase?: boolean | undefined;
  /** How it was made. */
  settings: Record<string, unknown>;
}

/**
 * Stores a dataset of an ontology that is stored already. Items keep their order; equal items of equal concepts
 * give equal content hashes, wherever and whenever they are stored.
 * @throws AppError INVALID_INPUT past `MAX_ITEMS` and for a prefix of two-hop prompts; whatever the items throw.
 */
export async function storeDataset(
  tx: Executor,
  ontology: Ontology,
  row: NewDataset,
  items: AsyncIterable<DatasetItem> | Iterable<DatasetItem>,
): Promise<Dataset> {
  const [concepts] = await conceptsOfOntologies(tx, [ontology.id]);
  const [dataset] = await tx
    .insert(datasets)
    .values({ ...row, ontologyId: ontology.id, contentHash: '' })
    .returning();
  const batch = new Batch(dataset!.id, new Map(concepts!.map(({ key, id }) => [key, id])));
  const hash = createHash('sha256').update(JSON.stringify(concepts!.map(({ key, label }) => [key, label])));
  const { prefix, answerEnd, chat = false, letterCase = false } = row;
  if (prefix !== undefined || answerEnd !== undefined || chat)
    hash.update(
      `\n${JSON.stringify(['prompted', prefix ?? null, answerEnd ?? null, ...(chat ? ['chat'] : [])])}`,
    );
  if (letterCase) hash.update(`\n${JSON.stringify(['letterCase'])}`);
  let count = 0;
  for await (const item of items) {
    count += 1;
    if (count > MAX_ITEMS) throw tooMany();
    if (item.type === 'prompt' && item.concepts.length > 1) checkTwoHops(item, row);
    hash.update(`\n${JSON.stringify(canonical(item))}`);
    batch.add(item);
    if (batch.size >= BATCH) await batch.flush(tx);
  }
  await batch.flush(tx);
  const [stored] = await tx
    .update(datasets)
    .set({ contentHash: hash.digest('hex') })
    .where(eq(datasets.id, dataset!.id))
    .returning();
  return stored!;
}

/** The item's fields in an order that does not depend on how it was made. */
function canonical(item: DatasetItem): unknown[] {
  if (item.type === 'fact') return ['fact', item.entity, item.concept, item.value];
  if (item.type === 'text') return ['text', item.split, item.entity, item.text];
  const { split, entity, concepts, template, prompt, answer, otherAnswers } = item;
  return [
    'prompt',
    split,
    entity,
    concepts,
    template,
    prompt,
    answer,
    ...(otherAnswers ? [otherAnswers] : []),
  ];
}

class Batch {
  readonly #datasetId: string;
  readonly #conceptIds: ReadonlyMap<string, string>;
  #facts: FactRow[] = [];
  #examples: ExampleRow[] = [];
  #links: ExampleConceptRow[] = [];
  #factPosition = 0;
  #examplePosition = 0;

  constructor(datasetId: string, conceptIds: ReadonlyMap<string, string>) {
    this.#datasetId = datasetId;
    this.#conceptIds = conceptIds;
  }

  get size(): number {
    return this.#facts.length + this.#examples.length;
  }

  add(item: DatasetItem): void {
    if (item.type === 'fact') this.#addFact(item);
    else if (item.type === 'prompt') this.#addPrompt(item);
    else this.#addText(item);
  }

  async flush(tx: Executor): Promise<void> {
    if (this.#facts.length) await insertFacts(tx, this.#facts);
    if (this.#examples.length) await insertExamples(tx, this.#examples, this.#links);
    this.#facts = [];
    this.#examples = [];
    this.#links = [];
  }

  #addFact({ entity, concept, value }: FactItem): void {
    const position = this.#factPosition++;
    const conceptId = this.#conceptIds.get(concept)!;
    this.#facts.push({ id: randomUUID(), datasetId: this.#datasetId, position, entity, conceptId, value });
  }

  #addPrompt({ type: _, concepts, ...rest }: PromptItem): void {
    const id = this.#addExample({ kind: 'QUESTION', ...rest });
    for (const [i, key] of concepts.entries()) {
      this.#links.push({ exampleId: id, hop: i + 1, conceptId: this.#conceptIds.get(key)! });
    }
  }

  #addText({ text, entity, split }: TextItem): void {
    this.#addExample({ kind: 'TEXT', prompt: text, answer: null, entity, split, template: '' });
  }

  #addExample(row: Omit<ExampleRow, 'id' | 'datasetId' | 'position'>): string {
    const id = randomUUID();
    this.#examples.push({ id, datasetId: this.#datasetId, position: this.#examplePosition++, ...row });
    return id;
  }
}

function tooMany() {
  return invalidInput([], `A dataset holds at most ${MAX_ITEMS} facts and examples; this one has more.`);
}

function checkTwoHops({ prompt }: PromptItem, { prefix, chat }: NewDataset): void {
  const field = prefix !== undefined ? 'prefix' : chat ? 'chat' : null;
  if (field !== null)
    throw invalidInput([field], `a ${field} is for prompts of one concept; "${prompt}" asks about two`);
}

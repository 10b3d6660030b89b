/** Rows that many tests need before they can begin. */

import { randomUUID } from 'node:crypto';
import type { Db } from '../../src/db/client.ts';
import type { Claim } from '../../src/db/queries/events.ts';
import { claimRun, finishRun, insertRun, type NewRun, type Run } from '../../src/db/queries/runs.ts';
import { registerWorker, type Worker } from '../../src/db/queries/workers.ts';
import { artifacts, datasets, models, ontologies } from '../../src/db/tables/index.ts';
import type { ProductChoice } from '../../src/engine/contract/products.ts';

/** An empty dataset of an ontology of its own; its id. */
export async function insertDataset(db: Db): Promise<string> {
  const [ontology] = await db
    .insert(ontologies)
    .values({ slug: `o-${randomUUID()}`, version: 1, name: 'Test' })
    .returning();
  const [dataset] = await db
    .insert(datasets)
    .values({ ontologyId: ontology!.id, name: 'Test', kind: 'PROMPTS', settings: {}, contentHash: 'x' })
    .returning();
  return dataset!.id;
}

/** What a test says of a run; of its settings only what matters to it. */
export type RunValues = Omit<Partial<NewRun>, 'settings'> & { settings?: object };

/** A run as it is stored, of which `values` may say anything. */
export function newRun(values: RunValues & { datasetId: string }): NewRun {
  const common = { kind: 'MODEL', settings: {}, seed: 0, datasetHash: 'x', codeVersion: 'test' };
  return { ...common, ...values } as NewRun;
}

export async function insertQueuedRun(db: Db, values: RunValues = {}): Promise<Run> {
  return insertRun(db, newRun({ ...values, datasetId: values.datasetId ?? (await insertDataset(db)) }));
}

/** What a worker may have measured of one kind of product. */
const trial = { rows: 8, columns: 48, panelBytes: 393_216, gigaflops: 90.5, chosen: true };
const products: ProductChoice[] = [{ shape: 'FEW_ROWS', trials: [trial] }];

export function insertWorker(db: Db): Promise<Worker> {
  return registerWorker(db, {
    ...{ id: randomUUID(), hostname: 'test', pid: process.pid, backend: 'wasm' },
    ...{ tensorflowVersion: null, devices: [], fallbackReason: null, products },
  });
}

/** A run in the hands of a worker. */
export async function insertRunningRun(db: Db, values: RunValues = {}): Promise<Run & { claim: Claim }> {
  const { id } = await insertQueuedRun(db, values);
  const worker = await insertWorker(db);
  const run = await claimRun(db, { runId: id, workerId: worker.id, backend: 'wasm' });
  return { ...run!, claim: { runId: id, attempt: run!.attempt } };
}

/** A model of two blocks with no weights behind it; its id. */
export async function insertModel(db: Db, datasetId: string | null): Promise<string> {
  const hash = randomUUID().replaceAll('-', '').repeat(2);
  await db.insert(artifacts).values({ hash, bytes: 1, kind: 'MODEL' });
  const [model] = await db
    .insert(models)
    .values({
      ...{ name: 'm', datasetId, tokenizer: {}, nParams: 1, accuracy: {}, artifactHash: hash },
      config: { nLayers: 2, nHeads: 2, dModel: 8, dMlp: 32, nCtx: 32, dVocab: 10, layerNormEps: 1e-5 },
    })
    .returning();
  return model!.id;
}

/** Takes a queued run up and ends it well. */
export async function finishQueuedRun(
  db: Db,
  runId: string,
  outcome: { modelId?: string } = {},
): Promise<Run> {
  const worker = await insertWorker(db);
  const run = await claimRun(db, { runId, workerId: worker.id, backend: 'wasm' });
  return (await finishRun(db, { runId, attempt: run!.attempt }, outcome))!;
}

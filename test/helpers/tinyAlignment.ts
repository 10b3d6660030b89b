/** A finished alignment run of the tiny model, stored as a run stores it, without training anything. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatasetItem } from '../../src/data/items.ts';
import type { ArtifactStore } from '../../src/db/artifactStore.ts';
import type { Db, Executor } from '../../src/db/client.ts';
import { storeArtifact } from '../../src/db/queries/artifacts.ts';
import { finishRun } from '../../src/db/queries/runs.ts';
import { insertRunSae } from '../../src/db/queries/saes.ts';
import { models, slots } from '../../src/db/tables/index.ts';
import type { ModelRef } from '../../src/engine/contract/model.ts';
import type { RunKind } from '../../src/engine/contract/runs.ts';
import type { WrittenFile } from '../../src/engine/contract/writtenFile.ts';
import { type StoredSae, writeSae } from '../../src/engine/sae/file.ts';
import { writeSafetensors } from '../../src/formats/safetensors.ts';
import { storeDataset } from '../../src/services/datasetWriter.ts';
import { createOntology } from '../../src/services/ontology.ts';
import { tinySae } from '../engine/align/tinySae.ts';
import { tinyConfig, tinyTokenizerJson, tinyWeights } from '../engine/model/tiny.ts';
import { insertRunningRun } from './fixtures.ts';

/** Two phrasings to learn from and one held out, about each of three concepts of two entities. */
export const TINY_ITEMS: readonly DatasetItem[] = ['a', 'b', 'c'].flatMap((concept, i) =>
  ['fay', 'guy'].flatMap((entity): DatasetItem[] => {
    const [ask, value] = [['ada', 'bo', 'cy'][i]!, ['di', 'eve', 'hal'][i]!];
    const about = { answer: value, entity, concepts: [concept], template: '' };
    return [
      { type: 'fact', entity, concept, value },
      { type: 'prompt', ...about, prompt: `${ask} ${entity}`, split: 'TRAIN' },
      { type: 'prompt', ...about, prompt: `${ask} ${ask} ${entity}`, split: 'TRAIN' },
      { type: 'prompt', ...about, prompt: `hal ${ask} ${entity}`, split: 'TEST_OOD' },
    ];
  }),
);

export interface TinyAlignment {
  runId: string;
  modelId: string;
  datasetId: string;
  /** By position. */
  conceptIds: string[];
}

/** The tiny model and an SAE as files in this directory. */
export async function writeTinyPair(
  dir: string,
  sae: StoredSae = tinySae(),
): Promise<{ model: ModelRef; weights: WrittenFile; sae: WrittenFile }> {
  const weights = await writeSafetensors(join(dir, 'model.safetensors'), tinyWeights());
  return {
    model: { weights: weights.path, config: tinyConfig, tokenizer: tinyTokenizerJson },
    weights,
    sae: await writeSae(join(dir, 'sae.safetensors'), sae),
  };
}

/** Stores the run, of kind ALIGNMENT with its slots or of another kind without, and the files. */
export async function storeTinyAlignment(
  db: Db,
  store: ArtifactStore,
  { sae = tinySae(), kind = 'ALIGNMENT' as RunKind, items = TINY_ITEMS } = {},
): Promise<TinyAlignment> {
  const dir = await mkdtemp(join(tmpdir(), 'alignsae-tiny-'));
  const files = await writeTinyPair(dir, sae);
  const ontology = await createOntology(db, {
    slug: `tiny-${crypto.randomUUID()}`,
    concepts: sae.concepts.map((key) => ({ key })),
  });
  const about = { name: 'Tiny', kind: 'PROMPTS', settings: {} } as const;
  const dataset = await db.transaction((tx) => storeDataset(tx, ontology, about, items));
  const modelId = await db.transaction((tx) => storeModel(tx, store, files.weights, dataset.id));
  const settings = { ...sae.settings };
  const run = await insertRunningRun(db, { kind, settings, datasetId: dataset.id, modelId });
  const conceptIds = await db.transaction(async (tx) => {
    const artifactHash = await storeArtifact(tx, store, files.sae, 'SAE');
    await finishRun(tx, run.claim, { artifactHash, result: { chosenAlpha: 3, bestStep: 0, dModel: 8 } });
    if (kind === 'ALIGNMENT' || kind === 'BASELINE')
      await insertRunSae(tx, run, { artifactHash, layer: sae.settings.layer, config: sae.config });
    const concepts = await tx.query.concepts.findMany();
    const ids = concepts
      .filter(({ ontologyId }) => ontologyId === ontology.id)
      .sort((a, b) => a.position - b.position)
      .map(({ id }) => id);
    const rows = ids.map((conceptId, i) => ({ conceptId, index: sae.config.nFree + i }));
    if (kind === 'ALIGNMENT')
      await tx
        .insert(slots)
        .values(rows.map((row) => ({ ...row, runId: run.id, topExamples: [], topTokens: [] })));
    return ids;
  });
  await rm(dir, { recursive: true });
  return { runId: run.id, modelId, datasetId: dataset.id, conceptIds };
}

async function storeModel(
  tx: Executor,
  store: ArtifactStore,
  weights: WrittenFile,
  datasetId: string,
): Promise<string> {
  const artifactHash = await storeArtifact(tx, store, weights, 'MODEL');
  const [model] = await tx
    .insert(models)
    .values({
      ...{ name: 'tiny', datasetId, config: { ...tinyConfig }, tokenizer: tinyTokenizerJson },
      ...{ nParams: 0, accuracy: {}, artifactHash },
    })
    .returning({ id: models.id });
  return model!.id;
}

/** An SAE as SAELens loads it, whatever made it. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { AppError } from '../errors.ts';
import { findCounterpart, openSaeLens, type SaeLensFiles } from '../formats/sae/exportSaeLens.ts';
import { conceptsOfDatasets } from '../runs/concepts.ts';
import { readModel } from '../runs/studied.ts';
import type { Sae } from './sae.ts';
import { describeHook } from './saeLens.ts';

/** What SAELens has for the SAE: an architecture, or the reason why there are no files. */
export const saeLensOfSae = ({ config }: Sae) => findCounterpart(config);

/**
 * Opens the two files of an SAE; `saeId` is how the metadata names it.
 * @throws AppError CONFLICT with the reason why there are none; UNAVAILABLE when the weights are not in the store.
 */
export async function openSaeForSaeLens(
  db: Executor,
  store: ArtifactStore,
  sae: Sae,
  saeId: string,
): Promise<SaeLensFiles> {
  const counterpart = saeLensOfSae(sae);
  if (typeof counterpart !== 'string') throw new AppError('CONFLICT', counterpart.reason);
  const files = (await openSaeLens(await store.path(sae.artifactHash, `the SAE "${sae.name}"`)))!;
  const model = await readModel(db, sae.modelId);
  const { nFree, nConcepts } = sae.config;
  const [known] = sae.datasetId === null ? [[]] : await conceptsOfDatasets(db, [sae.datasetId]);
  const slots = known!.slice(0, nConcepts).map(({ key, label }, i) => ({
    concept: key,
    label,
    latent: nFree + i,
    negativeLatent: files.negativeOf(nFree + i),
  }));
  Object.assign(files.cfg.metadata, describeHook(model, sae.layer), {
    alignsae: {
      sae: saeId,
      name: sae.name,
      source: sae.source,
      modelSha256: model.artifactHash,
      nFree,
      slots,
      weightsSha256: sae.artifactHash,
    },
  });
  return files;
}

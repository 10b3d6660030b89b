/** Models as directories that Hugging Face transformers loads. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { AppError } from '../errors.ts';
import {
  EXPORTED_FILES,
  type ExportedFile,
  type FileContent,
  openExported,
} from '../formats/huggingFace/exportModel.ts';
import { readModel } from '../runs/studied.ts';

export { EXPORTED_FILES, type ExportedFile } from '../formats/huggingFace/exportModel.ts';

/** Whether a model's directory has a file of this name. */
export function isExportedFile(name: string): name is ExportedFile {
  return (EXPORTED_FILES as readonly string[]).includes(name);
}

/**
 * Opens one file of a model's directory.
 * @throws AppError NOT_FOUND for the model; CONFLICT for one without weights; UNAVAILABLE when its weights are not in the store.
 */
export async function openModelFile(
  db: Executor,
  store: ArtifactStore,
  id: string,
  name: ExportedFile,
): Promise<FileContent> {
  const { name: title, config, tokenizer, artifactHash } = await readModel(db, id);
  if (config.captured)
    throw new AppError(
      'CONFLICT',
      `model "${title}" has no weights: it was imported as captured activations`,
    );
  const weights = await store.path(artifactHash, `model "${title}"`);
  return openExported({ weights, config, tokenizer }, name);
}

/** `/export/models/{global id}/{config.json|model.safetensors|…}`: a directory that transformers loads. */
import type { Context } from '../schema/context.ts';
import { isExportedFile, openModelFile } from '../services/modelExport.ts';
import { type ExportFile, modelIdOf } from './exportFile.ts';

const PATH = /^\/export\/models\/([^/]+)\/([\w.]+)$/;

/** The file at this path; null when the path is none of a model's. @throws AppError */
export async function openModelExport(path: string, { db, store }: Context): Promise<ExportFile | null> {
  const [, part, name] = PATH.exec(path) ?? [];
  if (part === undefined || !isExportedFile(name!)) return null;
  const modelId = modelIdOf(part);
  const { contentType, bytes, chunks } = await openModelFile(db, store, modelId, name);
  return { of: { modelId }, name, contentType, bytes, content: chunks };
}

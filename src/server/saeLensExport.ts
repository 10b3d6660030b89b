/**
 * `/export/saes/{global id}/saelens/{cfg.json|sae_weights.safetensors}`: a directory that SAELens loads. The same of a
 * run's SAE below `/export/runs/{global id}`; of a run with an SAE for each hop `…/saelens/hop-{1|2}/…`.
 */
import type { Context } from '../schema/context.ts';
import { getRun } from '../services/run.ts';
import { readSae } from '../services/sae.ts';
import { openRunForSaeLens, type SaeLensFiles } from '../services/saeLens.ts';
import { openSaeForSaeLens } from '../services/saeLensOfSae.ts';
import { type ExportFile, runIdOf, saeIdOf } from './exportFile.ts';

const PATH = /^\/export\/runs\/([^/]+)\/saelens\/(?:hop-([12])\/)?(cfg\.json|sae_weights\.safetensors)$/;

const OF_SAE = /^\/export\/saes\/([^/]+)\/saelens\/(cfg\.json|sae_weights\.safetensors)$/;

/** The file at this path; null when the path is none of them. @throws AppError */
export async function openSaeLensFile(path: string, context: Context): Promise<ExportFile | null> {
  return (await openOfSae(path, context)) ?? openOfRun(path, context);
}

async function openOfSae(path: string, { db, store }: Context): Promise<ExportFile | null> {
  const [, id, name] = OF_SAE.exec(path) ?? [];
  if (id === undefined) return null;
  const sae = await readSae(db, saeIdOf(id));
  const files = await openSaeForSaeLens(db, store, sae, decodeURIComponent(id));
  return fileOf(files, { of: { saeId: sae.id }, name: name! });
}

async function openOfRun(path: string, { db, store }: Context): Promise<ExportFile | null> {
  const [, id, hop, name] = PATH.exec(path) ?? [];
  if (id === undefined) return null;
  const run = await getRun(db, runIdOf(id));
  const files = await openRunForSaeLens(db, store, run, {
    runId: decodeURIComponent(id),
    hop: hop === undefined ? null : Number(hop),
  });
  return fileOf(files, { of: { runId: run.id }, name: name! });
}

function fileOf({ cfg, weights }: SaeLensFiles, file: Pick<ExportFile, 'of' | 'name'>): ExportFile {
  if (file.name !== 'cfg.json')
    return {
      ...file,
      contentType: 'application/octet-stream',
      bytes: weights.bytes,
      content: weights.chunks,
    };
  const text = `${JSON.stringify(cfg, null, 2)}\n`;
  return { ...file, contentType: 'application/json', content: () => once(text) };
}

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

/**
 * `/export/runs/{global id}/saelens/{cfg.json|sae_weights.safetensors}`: a directory that SAELens loads; of a run with an
 * SAE for each hop `…/saelens/hop-{1|2}/…`.
 */
import type { Context } from '../schema/context.ts';
import { getRun } from '../services/run.ts';
import { openRunForSaeLens } from '../services/saeLens.ts';
import { type ExportFile, runIdOf } from './exportFile.ts';

const PATH = /^\/export\/runs\/([^/]+)\/saelens\/(?:hop-([12])\/)?(cfg\.json|sae_weights\.safetensors)$/;

/** The file at this path; null when the path is neither of the two. @throws AppError */
export async function openSaeLensFile(path: string, { db, store }: Context): Promise<ExportFile | null> {
  const [, id, hop, name] = PATH.exec(path) ?? [];
  if (id === undefined) return null;
  const run = await getRun(db, runIdOf(id));
  const { cfg, weights } = await openRunForSaeLens(db, store, run, {
    runId: decodeURIComponent(id),
    hop: hop === undefined ? null : Number(hop),
  });
  const file = { of: { runId: run.id }, name: name! };
  if (name !== 'cfg.json')
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

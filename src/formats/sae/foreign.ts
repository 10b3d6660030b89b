/** Opens the files of an SAE from elsewhere: a directory of SAELens, or one of Gemma Scope. */
import { invalidInput } from '../../errors.ts';
import type { CheckpointFiles } from '../huggingFace/checkpoint.ts';
import { type StoredTensor, safetensorsTensor } from '../huggingFace/tensors.ts';
import { nameLookalike } from '../lookalikes.ts';
import { type ByteSource, readHeader } from '../safetensors.ts';
import { chooseLayer } from './hook.ts';
import { openNpz } from './npz.ts';
import type { ForeignFile, ImportHints } from './saeFile.ts';
import { readSaeLensConfig } from './saeLensConfig.ts';

const CONFIG = 'cfg.json';
const WEIGHTS = 'sae_weights.safetensors';
const GEMMA_SCOPE = 'params.npz';
const MAX_CONFIG_BYTES = 1 << 20;

/**
 * @param place What the directory is called, of which Gemma Scope's names say the layer.
 * @throws AppError INVALID_INPUT naming the file and what in it is missing, malformed or not supported.
 */
export async function openForeignSae(
  files: CheckpointFiles,
  place: string,
  hints: ImportHints,
): Promise<ForeignFile> {
  const config = await files.open(CONFIG);
  if (config) return openSaeLens(files, await readConfig(config), hints);
  const params = await files.open(GEMMA_SCOPE);
  if (params) return openGemmaScope(params, place, hints);
  throw invalidInput(
    [CONFIG],
    `there is neither ${CONFIG} (SAELens) nor ${GEMMA_SCOPE} (Gemma Scope) in ${place}`,
  );
}

async function openSaeLens(
  files: CheckpointFiles,
  raw: Record<string, unknown>,
  hints: ImportHints,
): Promise<ForeignFile> {
  const sae = readSaeLensConfig(raw, hints);
  const source = await files.open(WEIGHTS);
  if (!source) throw invalidInput([WEIGHTS], `there is ${CONFIG}, but no ${WEIGHTS} beside it`);
  const { tensors } = await readHeader(source, WEIGHTS);
  const found = Object.entries(tensors).map(([name, entry]): [string, StoredTensor] => [
    name,
    safetensorsTensor(entry, { name, label: WEIGHTS, source }),
  ]);
  return { label: WEIGHTS, sae, tensors: new Map(found) };
}

/** Gemma Scope's files say nothing but weights: all are JumpReLU, and the folder names the layer. */
async function openGemmaScope(source: ByteSource, place: string, hints: ImportHints): Promise<ForeignFile> {
  if (/embedding/i.test(place)) throw elsewhere(place, 'the embeddings');
  if (/(^|[/_-])(mlp|att|attn|transcoders?)([/_-]|$)/i.test(place))
    throw elsewhere(place, 'an MLP or attention');
  const tensors = new Map(
    [...(await openNpz(source, GEMMA_SCOPE))].map(([name, tensor]) => [name.replace(/^w_/, 'W_'), tensor]),
  );
  const shape = tensors.get('W_enc')?.shape ?? [];
  const [dIn, dSae] = shape;
  if (shape.length !== 2 || !dIn || !dSae)
    throw invalidInput(
      [GEMMA_SCOPE, 'W_enc'],
      `${GEMMA_SCOPE}: W_enc has the shape [${shape}]; expected [width, latents]`,
    );
  const named = /(?:^|\/)layer_(\d{1,4})(?:\/|_|$)/.exec(place)?.[1];
  const layer = chooseLayer(named === undefined ? null : Number(named), hints.layer, place);
  const inputScale = hints.inputScale ?? 1;
  const computes = { architecture: 'jumprelu', k: 1, takesOffBias: false, rescales: false } as const;
  return { label: GEMMA_SCOPE, sae: { ...computes, dIn, dSae, inputScale, layer }, tensors };
}

function elsewhere(place: string, what: string) {
  return invalidInput(
    ['hook_name'],
    `by its name, "${place}" is an SAE of ${what}; this engine reads the residual stream behind blocks alone`,
  );
}

async function readConfig(source: ByteSource): Promise<Record<string, unknown>> {
  if (source.size > MAX_CONFIG_BYTES)
    throw invalidInput(
      [CONFIG],
      `${CONFIG} has ${source.size} bytes; accepted are at most ${MAX_CONFIG_BYTES}`,
    );
  const bytes = await source.read(0, source.size);
  const other = nameLookalike(bytes);
  if (other) throw invalidInput([CONFIG], `${CONFIG} is not JSON: ${other}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw invalidInput([CONFIG], `${CONFIG} is not JSON: ${(cause as Error).message}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalidInput([CONFIG], `${CONFIG} is not a JSON object`);
}

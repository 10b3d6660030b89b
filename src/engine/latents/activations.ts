/** What fires on a text: the strongest latents at each of its tokens. */
import { invalidInput } from '../../errors.ts';
import { firstTooMany, textsOfTokens } from '../../formats/tokenTexts.ts';
import { captureResidPost } from '../align/capture.ts';
import { type ActiveToken, TOP_LATENTS } from '../contract/latents.ts';
import type { LoadedPair } from '../loaded.ts';
import { askingOf } from '../model/asking.ts';
import { aloneOf, type LanguageModel } from '../model/languageModel.ts';
import type { Sae } from '../sae/sae.ts';

/** Latents that are read together fill at most this many floats. */
const LATENTS_AT_ONCE = 2 ** 23;

/**
 * The text stands alone, behind no prefix; as a message of a chat, what is told is all that the template makes of it.
 * @throws {AppError} INVALID_INPUT for a chat without a template, a text without tokens or longer than the model reads.
 */
export async function readActivations(
  { model: asked, sae }: LoadedPair,
  given: string,
  chat = false,
): Promise<ActiveToken[]> {
  const model = aloneOf(asked);
  const text = chat ? askingOf(model.tokenizer, { chat }).said(given) : given;
  const tokens = model.tokenizer.encode(text);
  checkLength(model, text, tokens);
  const positions = [tokens.map((_, position) => position)];
  const h = await captureResidPost(model, [tokens], { layer: sae.settings.layer, positions });
  const found = strongestOfRows(sae, h);
  return textsOfTokens(model.tokenizer, text, tokens).map((part, i) => ({ text: part, ...found[i]! }));
}

function checkLength({ config, tokenizer }: LanguageModel, text: string, tokens: readonly number[]): void {
  const { nCtx } = config;
  if (tokens.length === 0) throw invalidInput(['text'], 'text must have at least one token; it has none');
  if (tokens.length <= nCtx) return;
  throw invalidInput(
    ['text'],
    `text must have at most ${nCtx} tokens, as many as the model reads; it has ${tokens.length}: ${firstTooMany(tokenizer, text, tokens, nCtx)}`,
  );
}

type Strongest = Omit<ActiveToken, 'text'>;

function strongestOfRows(sae: Sae, h: Float32Array): Strongest[] {
  const { dModel } = sae.config;
  const rows = h.length / dModel;
  const atOnce = Math.max(1, Math.floor(LATENTS_AT_ONCE / sae.nLatents));
  const found: Strongest[] = [];
  for (let start = 0; start < rows; start += atOnce) {
    const z = sae.latents(h.subarray(start * dModel, Math.min(rows, start + atOnce) * dModel));
    for (let at = 0; at < z.length; at += sae.nLatents) found.push(strongest(z, at, sae.nLatents));
  }
  return found;
}

/** Of the values `z[from … from + n)` that are above 0 the largest, descending; the first of equals goes first. */
function strongest(z: Float32Array, from: number, n: number): Strongest {
  const latents = new Int32Array(TOP_LATENTS);
  const activations = new Float32Array(TOP_LATENTS);
  let count = 0;
  for (let latent = 0; latent < n; latent++) {
    const activation = z[from + latent]!;
    if (!(activation > 0) || (count === TOP_LATENTS && activation <= activations[count - 1]!)) continue;
    let at = count < TOP_LATENTS ? count++ : count - 1;
    for (; at > 0 && activations[at - 1]! < activation; at--) {
      activations[at] = activations[at - 1]!;
      latents[at] = latents[at - 1]!;
    }
    activations[at] = activation;
    latents[at] = latent;
  }
  return { latents: latents.slice(0, count), activations: activations.slice(0, count) };
}

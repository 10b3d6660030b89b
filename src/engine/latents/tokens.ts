import { captureResidPost } from '../align/capture.ts';
import type { LatentTokens, LatentTokensCall } from '../contract/latents.ts';
import type { LoadedPair } from '../loaded.ts';

/** One list a request, token by token. */
export async function readLatentTokens(
  { model, sae }: LoadedPair,
  requests: LatentTokensCall['requests'],
): Promise<LatentTokens[]> {
  const latents = [...new Set(requests.map(({ latent }) => latent))];
  const prompts = [...new Set(requests.map(({ prompt }) => prompt))];
  const sequences = prompts.map((prompt) => model.asking.prompt(prompt));
  const positions = sequences.map((tokens) => tokens.map((_, i) => i));
  const h = await captureResidPost(model, sequences, { layer: sae.settings.layer, positions });
  const columns = sae.only(h, latents); // [tokens of all prompts, latents]
  const starts: number[] = [];
  sequences.reduce((start, { length }, i) => {
    starts[i] = start;
    return start + length;
  }, 0);
  return requests.map(({ latent, prompt }) => {
    const at = prompts.indexOf(prompt);
    const column = latents.indexOf(latent);
    return sequences[at]!.map((id, i) => ({
      text: model.tokenizer.decode([id]),
      activation: columns[(starts[at]! + i) * latents.length + column]!,
    }));
  });
}

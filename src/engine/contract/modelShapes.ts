/** What weights a GPT-2-architecture model has; no tensors, so that whoever moves checkpoints may ask. */
import type { ModelConfig } from './model.ts';

/** Every weight's name and shape, in the order of the forward pass. */
export function weightShapes(config: ModelConfig): Record<string, number[]> {
  const { nLayers, dModel, dMlp, nCtx, dVocab } = config;
  const shapes: Record<string, number[]> = { 'wte.weight': [dVocab, dModel], 'wpe.weight': [nCtx, dModel] };
  const add = (name: string, weight: number[]) => {
    shapes[`${name}.weight`] = weight;
    shapes[`${name}.bias`] = [weight.at(-1)!];
  };
  for (let layer = 0; layer < nLayers; layer++) {
    add(`h.${layer}.ln_1`, [dModel]);
    add(`h.${layer}.attn.c_attn`, [dModel, 3 * dModel]);
    add(`h.${layer}.attn.c_proj`, [dModel, dModel]);
    add(`h.${layer}.ln_2`, [dModel]);
    add(`h.${layer}.mlp.c_fc`, [dModel, dMlp]);
    add(`h.${layer}.mlp.c_proj`, [dMlp, dModel]);
  }
  add('ln_f', [dModel]);
  return shapes;
}

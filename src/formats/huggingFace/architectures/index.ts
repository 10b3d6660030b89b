/** Every architecture whose checkpoints can be read and written, by its `model_type`. */
import type { ArchitectureName } from '../../../engine/contract/modelDecoder.ts';
import type { Architecture } from './architecture.ts';
import { gemma2, gemma3 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gptNeox.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { qwen2, qwen3 } from './qwen.ts';

export const architectures: Readonly<Record<ArchitectureName, Architecture>> = {
  gpt2,
  gpt_neox: gptNeox,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3_text: gemma3,
};

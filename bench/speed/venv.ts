/** A virtual environment with the peers' packages, made once for each state of the requirements. */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execute, findOnPath } from '../../src/engine/native/command.ts';

const REQUIREMENTS = fileURLToPath(new URL('../peers/requirements.txt', import.meta.url));
const DIRECTORY = fileURLToPath(new URL('../.venv', import.meta.url));

/**
 * Path of a Python that can run `bench/peers`; several gigabytes are downloaded the first time.
 * @throws Error in pip's words when a package cannot be installed.
 */
export async function obtainPython(log: (message: string) => void): Promise<string> {
  const python = join(DIRECTORY, 'bin', 'python');
  const marker = join(DIRECTORY, 'requirements.sha256');
  const wanted = createHash('sha256')
    .update(await readFile(REQUIREMENTS))
    .digest('hex');
  if ((await readFile(marker, 'utf8').catch(() => null)) === wanted) return python;
  const system = await findOnPath('python3', process.env);
  if (!system) throw new Error('there is no python3; install one, or name another with --python');
  log(`installing PyTorch, SAELens and transformers into ${DIRECTORY}`);
  await rm(DIRECTORY, { recursive: true, force: true });
  await execute({ file: system, args: ['-m', 'venv', DIRECTORY] }, process.env);
  const install = ['-m', 'pip', 'install', '--progress-bar', 'off', '--no-input', '-r', REQUIREMENTS];
  await execute({ file: python, args: install }, process.env);
  await writeFile(marker, wanted);
  return python;
}

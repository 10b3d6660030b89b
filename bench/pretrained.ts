/**
 * An alignment on SmolLM2 that begins with an imported SAE, beside one that is trained here from nothing, through the API.
 * The SAE learns without labels, from a stream of text; it leaves the server as files of SAELens and comes back by
 * `importSae`. The dataset is what SmolLM2 knows of the countries of `data/world`.
 * `npx tsx bench/pretrained.ts [--trial]` writes `.data/pretrained/report.md`; `--trial` takes a few
 * steps of everything, and its figures mean nothing.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createApiClient } from '../src/demo/client.ts';
import { startOwnServer } from '../src/demo/server.ts';
import type { Inputs } from './pretrained/inputs.ts';
import { renderComparison } from './pretrained/report.ts';
import { compare } from './pretrained/study.ts';

const { values: options } = parseArgs({
  options: {
    trial: { type: 'boolean', default: false },
  },
});
const STORE = fileURLToPath(new URL('../.data/pretrained', import.meta.url));
const importDir = join(STORE, 'import');
await mkdir(importDir, { recursive: true });
const inputs = await writeInputs(importDir);
// Of the server that is started here, so that nobody's own is touched.
Object.assign(process.env, { IMPORT_DIR: importDir, DATA_DIR: join(STORE, 'server'), PORT: '0' });
const server = await startOwnServer();
const api = createApiClient(new URL('/graphql', server.url).href);
try {
  const machine = `${cpus().length} cores of ${cpus()[0]!.model}`;
  // After every alignment, so that a comparison that is ended early leaves what it has measured.
  for await (const compared of compare(api, server.url, { ...inputs, importDir, trial: options.trial })) {
    await writeFile(join(STORE, 'compared.json'), `${JSON.stringify(compared, null, 1)}\n`);
    await writeFile(join(STORE, 'report.md'), `${renderComparison(compared, machine)}\n`);
  }
  console.log(await readFile(join(STORE, 'report.md'), 'utf8'));
} finally {
  await api.close();
  await server.stop();
}

/** In a process of its own, which takes the model's memory with it. */
async function writeInputs(importDir: string): Promise<Inputs> {
  const child = fork(fileURLToPath(new URL('pretrained/inputs.ts', import.meta.url)), [importDir]);
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) =>
      Promise.reject(new Error(`pretrained/inputs.ts ended with ${code}`)),
    ),
  ]);
  return message as Inputs;
}

/**
 * Peak memory of processes that have SmolLM2-135M loaded, each doing one thing that a server does with it; the first has
 * TensorFlow alone. `npx tsx bench/memory.ts [--only SWAPS]` prints a table; on Linux, the most that was resident at once.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readConfig } from '../src/config.ts';
import { nativeEnvironment } from '../src/engine/contract/native.ts';
import { prepareNative } from '../src/engine/native/build.ts';
import { type MemoryOrder, type MemoryWork, WORKS } from './memory/work.ts';
import { writeSmolLm2 } from './smollm2.ts';

const { values: options } = parseArgs({ options: { only: { type: 'string' } } });
const { cacheDir } = readConfig();
const native = await prepareNative({
  ...{ cacheDir, tensorflowDir: null, environment: process.env },
  log: (message) => console.error(message),
});
const directory = await mkdtemp(join(tmpdir(), 'memory-'));
try {
  const model = await writeSmolLm2(cacheDir, join(directory, 'model.safetensors'), console.error);
  const works = options.only ? options.only.toUpperCase().split(',') : Object.keys(WORKS);
  console.log('| process | peak MB | processor seconds of the work |\n| --- | --- | --- |');
  for (const work of works as MemoryWork[]) {
    const { peak, seconds } = await measure({ native, model, work });
    console.log(`| ${WORKS[work].title} | ${Math.round(peak / 1e6)} | ${seconds.toFixed(1)} |`);
  }
} finally {
  await rm(directory, { recursive: true });
}

/** In a process of its own, started as a server starts its engine. */
async function measure(order: MemoryOrder): Promise<{ peak: number; seconds: number }> {
  const env = { ...process.env, ...nativeEnvironment(native, process.env) };
  const child = fork(fileURLToPath(new URL('memory/child.ts', import.meta.url)), { env });
  child.send(order);
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code, signal]) =>
      Promise.reject(new Error(`${order.work} ended with ${code ?? signal}`)),
    ),
  ]);
  const ended = once(child, 'exit');
  child.disconnect();
  await ended;
  return message as { peak: number; seconds: number };
}

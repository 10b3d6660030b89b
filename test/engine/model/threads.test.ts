import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { expect, inject, test } from 'vitest';
import { nativeEnvironment } from '../../../src/engine/contract/native.ts';

const native = inject('native');

/** What a process computes that may use these cores, all if null. */
async function computeOn(core: number | null): Promise<string[]> {
  const child = fork(new URL('threadsChild.ts', import.meta.url), [], {
    env: { PATH: process.env.PATH!, ...nativeEnvironment(native, {}) },
    execArgv: ['--import', createRequire(import.meta.url).resolve('tsx')],
  });
  // Before it loads anything: threads take over where their process may run.
  if (core !== null)
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(child.pid)]);
  child.send({ addon: native });
  const [hashes] = (await once(child, 'message')) as [string[]];
  return hashes;
}

test('what models compute and learn does not depend on the number of threads', async (context) => {
  if (!native.available) return context.skip('there is no native engine');
  if (availableParallelism() < 2) return context.skip('there is one core');
  const [all, one] = [await computeOn(null), await computeOn(0)];
  expect(all.length).toBeGreaterThan(40);
  expect(one).toEqual(all);
});

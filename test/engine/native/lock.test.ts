import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { withLock } from '../../../src/engine/native/lock.ts';

test('work on one directory goes one after the other, on another at the same time', async () => {
  const order: string[] = [];
  let finishFirst = () => {};
  const first = withLock('/one', fail, async () => {
    await new Promise<void>((resolve) => {
      finishFirst = resolve;
    });
    order.push('first');
  });
  let second: Promise<unknown> = Promise.resolve();
  await new Promise<void>((waits) => {
    second = withLock('/one', waits, async () => order.push('second'));
  });
  await withLock('/other', fail, async () => order.push('other'));
  finishFirst();
  await Promise.all([first, second]);
  expect(order).toEqual(['other', 'first', 'second']);
});

test('work that throws gives the lock back', async () => {
  await expect(withLock('/three', fail, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withLock('/three', fail, async () => 'yes')).toBe('yes');
});

test('a process that is killed gives the lock back', async () => {
  const tsx = createRequire(import.meta.url).resolve('tsx');
  const owner = fork(new URL('lockOwner.ts', import.meta.url), ['/two'], { execArgv: ['--import', tsx] });
  await once(owner, 'message');
  const exited = once(owner, 'exit');
  const kill = () => owner.kill('SIGKILL');
  expect(await withLock('/two', kill, async () => 'ours')).toBe('ours');
  expect(await exited).toEqual([null, 'SIGKILL']);
});

function fail(): never {
  throw new Error('nobody else has this lock');
}

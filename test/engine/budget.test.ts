import { expect, test } from 'vitest';
import { MemoryBudget } from '../../src/engine/budget.ts';

/** Keys in the order in which they were loaded and freed. */
let history: string[] = [];
function holding(key: string, bytes: number, load: () => Promise<void> = async () => {}) {
  return {
    key,
    bytes,
    async load() {
      await load();
      history.push(`+${key}`);
      return { key, dispose: () => void history.push(`-${key}`) };
    },
  };
}

/** Reserves, and lets go at once. */
async function touch(budget: MemoryBudget, ...wanted: ReturnType<typeof holding>[]): Promise<void> {
  (await budget.reserve(...wanted)).release();
}

test('what is used stays loaded, and what was not used for longest leaves first', async () => {
  history = [];
  const budget = new MemoryBudget(100);
  const [a, b, c] = [holding('a', 40), holding('b', 40), holding('c', 50)];
  await touch(budget, a);
  await touch(budget, b);
  await touch(budget, a);
  expect([history, budget.held]).toEqual([['+a', '+b'], 80]);
  await touch(budget, c);
  expect(history.sort()).toEqual(['+a', '+b', '+c', '-b']);
  expect(budget.held).toBe(90);
});

test('what is in use never leaves, and what does not fit beside it is refused, with the numbers', async () => {
  history = [];
  const budget = new MemoryBudget(100);
  const using = await budget.reserve(holding('model', 50), holding('sae', 20));
  await touch(budget, holding('idle', 30));
  await expect(budget.reserve(holding('large', 60))).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/^60 bytes are needed, but 70 of 100 are in use/),
  });
  expect(history).toEqual(['+model', '+sae', '+idle']); // nothing left in vain
  await touch(budget, holding('model', 50), holding('other sae', 30)); // shares the model
  expect(history).toContain('-idle');
  expect(history).not.toContain('-model');
  using.release();
  await touch(budget, holding('large', 60));
  expect(budget.held).toBeLessThanOrEqual(100);
  await budget.clear();
  expect(budget.held).toBe(0);
  const count = (sign: string) => history.filter((entry) => entry[0] === sign).length;
  expect(count('+')).toBe(count('-'));
});

test('what can never fit is refused with both numbers, and nothing leaves for it', async () => {
  history = [];
  const budget = new MemoryBudget(100);
  await touch(budget, holding('a', 90));
  await expect(budget.reserve(holding('b', 60), holding('c', 41))).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED',
    message: expect.stringMatching(/need 101 bytes; the engine may hold 100/),
  });
  expect(history).toEqual(['+a']);
});

test('two that want the same thing at once load it once; one that fails to load takes no room', async () => {
  history = [];
  const budget = new MemoryBudget(100);
  const [first, second] = await Promise.all([
    budget.reserve(holding('a', 60)),
    budget.reserve(holding('a', 60)),
  ]);
  expect(first.values[0]).toBe(second.values[0]);
  first.release();
  await expect(budget.reserve(holding('b', 60))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  second.release();
  const broken = () => Promise.reject(new Error('broken file'));
  await expect(budget.reserve(holding('b', 60, broken))).rejects.toThrow('broken file');
  expect(budget.held).toBe(0);
  await touch(budget, holding('b', 60));
  expect(history).toEqual(['+a', '-a', '+b']);
});

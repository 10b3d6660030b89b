import { describe, expect, it } from 'vitest';
import { createRandom } from '../src/random.ts';

const take = <T>(n: number, draw: () => T): T[] => Array.from({ length: n }, draw);

describe('createRandom', () => {
  it('repeats for one seed and stream, and differs for any other', () => {
    const draws = (...args: Parameters<typeof createRandom>) => take(8, createRandom(...args).next);
    expect(draws(7, 'weights')).toEqual(draws(7, 'weights'));
    for (const other of [draws(8, 'weights'), draws(7, 'batches'), draws(7, 'weights', 0), draws(7)]) {
      expect(other).not.toEqual(draws(7, 'weights'));
    }
  });

  it('keeps giving the numbers it gave when this test was written', () => {
    const random = createRandom(0);
    expect(take(6, () => random.int(1000))).toMatchInlineSnapshot(`
      [
        780,
        101,
        424,
        535,
        483,
        862,
      ]
    `);
  });

  it('goes on from a stored state, through JSON and in another generator', () => {
    const original = createRandom(3, 'batches');
    take(100, original.normal);
    const state = JSON.parse(JSON.stringify(original.state()));
    const expected = take(50, original.normal);
    const other = createRandom(99);
    other.restore(state);
    expect(take(50, other.normal)).toEqual(expected);
  });

  it('draws uniforms and normals with the right moments', () => {
    const random = createRandom(1);
    const n = 200_000;
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / n;
    const uniform = take(n, random.next);
    expect(Math.min(...uniform.slice(0, 1000))).toBeGreaterThanOrEqual(0);
    expect(Math.abs(mean(uniform) - 0.5)).toBeLessThan(0.003);
    expect(Math.abs(mean(uniform.map((u) => u * u)) - 1 / 3)).toBeLessThan(0.003);
    const normal = take(n, random.normal);
    expect(Math.abs(mean(normal))).toBeLessThan(0.01);
    expect(Math.abs(mean(normal.map((x) => x * x)) - 1)).toBeLessThan(0.02);
    expect(Math.abs(mean(normal.map((x) => x ** 4)) - 3)).toBeLessThan(0.15);
  });

  it('draws every integer below n about equally often, and nothing else', () => {
    const counts = new Array(7).fill(0);
    const random = createRandom(5);
    for (let i = 0; i < 70_000; i++) counts[random.int(7)]++;
    expect(counts).toHaveLength(7);
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    expect(() => random.int(0)).toThrow(/from 1 to 2\^32, got 0/);
    expect(() => random.int(1.5)).toThrow(RangeError);
  });

  it('shuffles in place to any order', () => {
    const orders = new Map<string, number>();
    const random = createRandom(2);
    for (let i = 0; i < 6000; i++) {
      const key = random.shuffle(['a', 'b', 'c']).join('');
      orders.set(key, (orders.get(key) ?? 0) + 1);
    }
    expect(orders.size).toBe(6);
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

import { describe, expect, test } from 'vitest';
import { type LabelledBatchOptions, labelledBatches, type Rows } from '../../../src/engine/sae/batches.ts';

/** Three entities asked about three concepts, twice each; a row is [entity, concept]. */
function rows(withheld?: Uint8Array): Rows {
  const all = [0, 1, 2].flatMap((entity) =>
    [0, 1, 2].flatMap((concept) => [0, 1].map(() => ({ entity, concept }))),
  );
  return {
    x: Float32Array.from(all.flatMap(({ entity, concept }) => [entity, concept])),
    dModel: 2,
    nConcepts: 3,
    concepts: Int32Array.from(all, ({ concept }) => concept),
    answers: Int32Array.from(all, () => 0),
    entities: Int32Array.from(all, ({ entity }) => entity),
    withheld,
  };
}

const options: LabelledBatchOptions = {
  ...{ seed: 1, batchSize: 90, counterfactual: true, mixEntities: false, silent: null },
};

/** Row, partner and target of every row of a batch. */
function drawPairs(data: Rows, more: Partial<LabelledBatchOptions> = {}) {
  const batch = labelledBatches(data, { ...options, ...more })(0);
  const row = (name: string, i: number, width: number) =>
    [...batch[name]!.data.slice(i * width, (i + 1) * width)] as number[];
  return Array.from({ length: 90 }, (_, i) => ({
    x: row('x', i, 2),
    partner: row('partner', i, 2),
    target: row('targets', i, 3).indexOf(1),
    paired: batch.paired!.data[i],
  }));
}

describe('counterfactual partners', () => {
  test('ask about the same entity and another concept', () => {
    for (const { x, partner, target, paired } of drawPairs(rows())) {
      expect(paired).toBe(1);
      expect(partner).toEqual([x[0], target]);
      expect(target).not.toBe(x[1]);
    }
  });

  test('never are what is withheld, though it is learned from', () => {
    const data = rows();
    const isWithheld = (entity: number, concept: number) => concept === 2 || (entity === 1 && concept === 0);
    const withheld = Uint8Array.from(data.concepts, (concept, i) =>
      Number(isWithheld(data.entities[i]!, concept)),
    );
    const pairs = drawPairs(rows(withheld));
    const alone = pairs.filter(({ paired }) => paired === 0);
    expect(new Set(alone.map(({ x }) => String(x)))).toEqual(new Set(['1,1']));
    for (const { x, partner, paired } of pairs)
      if (paired) expect(isWithheld(x[0]!, partner[1]!)).toBe(false);
    expect(pairs.some(({ x }) => x[1] === 2)).toBe(true);
  });
});

describe('mixed entities', () => {
  const pairs = drawPairs(rows(), { mixEntities: true });

  test('stand as far from their own entity as their partners do, and keep their concepts', () => {
    for (const { x, partner, target } of pairs) {
      expect(partner[0]).toBeCloseTo(x[0]!, 6);
      expect(partner[1]).toBeCloseTo(target, 6);
      expect([0, 1, 2]).toContain(Math.round(x[1]! * 1e6) / 1e6);
    }
  });

  test('lie between entities', () => {
    const between = pairs.filter(({ x }) => Math.abs(x[0]! - Math.round(x[0]!)) > 1e-3);
    expect(between.length).toBeGreaterThan(30);
    expect(drawPairs(rows()).every(({ x }) => Number.isInteger(x[0]))).toBe(true);
  });
});

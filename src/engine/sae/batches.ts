/** The activations an SAE learns from, and the order in which training sees them. */
import { createRandom, type Random } from '../../random.ts';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import { takeRows } from '../rows.ts';

/** Normalised activations with their labels, one row a prompt. */
export interface Rows {
  /** `[n, dModel]`. */
  x: Float32Array;
  dModel: number;
  nConcepts: number;
  /** Concept index of each row. */
  concepts: Int32Array;
  /** Token id of each answer's first token. */
  answers: Int32Array;
  /** Any number that tells entities apart. */
  entities: Int32Array;
  /** 1 where a row may not be what a counterfactual leads to; absent means none. */
  withheld?: Uint8Array;
}

/** Draws pre-training batches; a batch depends on its step alone, so the step is all a checkpoint must hold. */
export function pretrainBatches(rows: Rows, seed: number, batchSize: number): (step: number) => Arrays {
  return (step) => {
    const random = createRandom(seed, 'pretrain', step);
    const chosen = Array.from({ length: batchSize }, () => random.int(rows.concepts.length));
    return { x: take(rows, chosen) };
  };
}

export interface LabelledBatchOptions {
  seed: number;
  batchSize: number;
  /** Adds a prompt of the same entity about another concept to each row. */
  counterfactual: boolean;
  /** Makes rows and their partners, alike, of two entities: between any two entities lies another. */
  mixEntities: boolean;
  /** Adds so many of these activations (`[n, dModel]`) where no concept is in play. */
  silent: { x: Float32Array; rows: number } | null;
}

/**
 * Draws post-training batches: equally many rows a concept, concept 0's first, so that frequent concepts do not
 * crowd out rare ones and each value head sees one block of rows.
 */
export function labelledBatches(rows: Rows, options: LabelledBatchOptions): (step: number) => Arrays {
  const byConcept = groupRows(rows.concepts, rows.nConcepts);
  const partners = options.counterfactual ? indexPartners(rows) : null;
  const perConcept = rowsPerConcept(options.batchSize, rows.nConcepts);
  return (step) => {
    const random = createRandom(options.seed, 'posttrain', step);
    const chosen = byConcept.flatMap((group) =>
      Array.from({ length: perConcept }, () => group[random.int(group.length)]!),
    );
    return labelledBatch(rows, chosen, { ...options, partners }, random);
  };
}

/**
 * All rows, or an even sample of them when that would take more than `maxBatches` batches, in batches like those of
 * `labelledBatches`; a concept with fewer rows than the others repeats. `fresh` tells a batch's repeats apart.
 */
export function fixedBatches(
  rows: Rows,
  options: LabelledBatchOptions,
  maxBatches: number,
): { batch: Arrays; concepts: Int32Array; fresh: boolean[] }[] {
  const random = createRandom(options.seed, 'validation');
  const byConcept = groupRows(rows.concepts, rows.nConcepts).map((group) => random.shuffle(group));
  const partners = options.counterfactual ? indexPartners(rows) : null;
  const M = rowsPerConcept(options.batchSize, rows.nConcepts);
  const needed = Math.ceil(Math.max(...byConcept.map((group) => group.length)) / M);
  return Array.from({ length: Math.min(needed, maxBatches) }, (_, i) => {
    const places = Array.from({ length: M }, (_, j) => i * M + j);
    const chosen = byConcept.flatMap((group) => places.map((place) => group[place % group.length]!));
    const fresh = byConcept.flatMap((group) => places.map((place) => place < group.length));
    const batch = labelledBatch(rows, chosen, { ...options, mixEntities: false, partners }, random);
    return { batch, concepts: Int32Array.from(chosen, (row) => rows.concepts[row]!), fresh };
  });
}

/** Rows of each concept in a batch of about `batchSize`, at least one. */
export function rowsPerConcept(batchSize: number, nConcepts: number): number {
  return Math.max(1, Math.round(batchSize / nConcepts));
}

function labelledBatch(
  rows: Rows,
  chosen: readonly number[],
  { partners, mixEntities, silent }: LabelledBatchOptions & { partners: Partners | null },
  random: Random,
): Arrays {
  const { nConcepts: C, dModel } = rows;
  const batch: Arrays = {
    x: take(rows, chosen),
    concepts: oneHot(
      chosen.map((row) => rows.concepts[row]!),
      C,
    ),
    answers: { data: Int32Array.from(chosen, (row) => rows.answers[row]!), shape: [chosen.length] },
  };
  if (partners) {
    const pairs = choosePartners(rows, chosen, partners, random);
    Object.assign(batch, counterfactualArrays(rows, pairs));
    if (mixEntities) mix(batch, rows, { chosen, pairs, partners }, random);
  }
  if (silent) {
    const total = silent.x.length / dModel;
    const picked = Array.from({ length: silent.rows }, () => random.int(total));
    batch.silent = take({ x: silent.x, dModel }, picked);
  }
  return batch;
}

/** Rows of each entity by concept. */
type Partners = Map<number, Map<number, number[]>>;

function indexPartners({ entities, concepts, withheld }: Rows): Partners {
  const partners: Partners = new Map();
  entities.forEach((entity, row) => {
    if (withheld?.[row]) return;
    const byConcept = partners.get(entity) ?? new Map<number, number[]>();
    partners.set(entity, byConcept);
    const group = byConcept.get(concepts[row]!);
    if (group) group.push(row);
    else byConcept.set(concepts[row]!, [row]);
  });
  return partners;
}

/** What a row is led to: a row of the same entity about another concept, or the row itself where there is none. */
interface Pair {
  row: number;
  target: number;
  paired: boolean;
}

function choosePartners(
  { entities, concepts }: Rows,
  chosen: readonly number[],
  partners: Partners,
  random: Random,
): Pair[] {
  return chosen.map((row) => {
    const own = concepts[row]!;
    const byConcept = partners.get(entities[row]!) ?? new Map<number, number[]>();
    const others = [...byConcept.keys()].filter((concept) => concept !== own);
    if (others.length === 0) return { row, target: own, paired: false };
    const target = others[random.int(others.length)]!;
    const group = byConcept.get(target)!;
    return { row: group[random.int(group.length)]!, target, paired: true };
  });
}

/** `partner [B, d]`, `targets [B, C]` one-hot and `paired [B]`, 0 where there is no partner. */
function counterfactualArrays(rows: Rows, pairs: readonly Pair[]): Arrays {
  return {
    partner: take(
      rows,
      pairs.map(({ row }) => row),
    ),
    targets: oneHot(
      pairs.map(({ target }) => target),
      rows.nConcepts,
    ),
    paired: { data: Float32Array.from(pairs, ({ paired }) => Number(paired)), shape: [pairs.length] },
  };
}

/**
 * Moves each row, and its partner as far, towards a row about the same concept of another entity (mixup, Zhang et al.
 * 2018). Rows stay as they are where that entity has no prompt about the partner's concept.
 */
function mix(
  batch: Arrays,
  rows: Rows,
  { chosen, pairs, partners }: { chosen: readonly number[]; pairs: readonly Pair[]; partners: Partners },
  random: Random,
): void {
  const M = chosen.length / rows.nConcepts;
  const { dModel } = rows;
  const blend = (data: Float32Array, i: number, other: number, share: number) => {
    for (let j = 0; j < dModel; j++) {
      const own = data[i * dModel + j]!;
      data[i * dModel + j] = share * own + (1 - share) * rows.x[other * dModel + j]!;
    }
  };
  pairs.forEach(({ target, paired }, i) => {
    // The rows of one concept are a block of M.
    const other = chosen[Math.floor(i / M) * M + random.int(M)]!;
    const group = partners.get(rows.entities[other]!)?.get(target);
    if (!paired || !group) return;
    const share = random.next();
    blend(batch.x!.data as Float32Array, i, other, share);
    blend(batch.partner!.data as Float32Array, i, group[random.int(group.length)]!, share);
  });
}

function groupRows(concepts: Int32Array, nConcepts: number): number[][] {
  const groups: number[][] = Array.from({ length: nConcepts }, () => []);
  concepts.forEach((concept, row) => {
    groups[concept]!.push(row);
  });
  return groups;
}

/** Rows of `x [n, dModel]` in the given order. */
export function take(
  { x, dModel }: Pick<Rows, 'x' | 'dModel'>,
  chosen: readonly number[],
): ArrayValue & { data: Float32Array } {
  return { data: takeRows(x, chosen, dModel), shape: [chosen.length, dModel] };
}

function oneHot(indices: readonly number[], depth: number): ArrayValue {
  const data = new Float32Array(indices.length * depth);
  indices.forEach((index, i) => {
    data[i * depth + index] = 1;
  });
  return { data, shape: [indices.length, depth] };
}

/** The activations an SAE learns from, and the order in which training sees them. */
import { createRandom, type Random } from '../../random.ts';
import type { Arrays, ArrayValue } from '../contract/arrays.ts';
import { takeRows } from '../rows.ts';

/** Normalised activations with their labels: one row a prompt, at its last token, and behind these, tokens of answers. */
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
  /** Of rows at tokens of answers; absent means that there are none. */
  later?: LaterRows;
}

/** The last rows, at tokens of answers that stand behind prompts. */
export interface LaterRows {
  /** The first of them. */
  from: number;
  /** For each of them, the concept that the answer belongs to, which need not be the prompt's own. */
  said: Int32Array;
  /** For each of them, the number of the token in the answer. */
  places: Int32Array;
}

/** Draws pre-training batches; a batch depends on its step alone, so the step is all a checkpoint must hold. */
export function pretrainBatches(rows: Rows, seed: number, batchSize: number): (step: number) => Arrays {
  return (step) => {
    const random = createRandom(seed, 'pretrain', step);
    const n = rows.concepts.length;
    const from = rows.later?.from ?? n;
    // As in the second stage, half are at last tokens, of which there are fewer.
    const later = from < n ? Math.floor(batchSize / 2) : 0;
    const chosen = Array.from({ length: batchSize - later }, () => random.int(from));
    for (let i = 0; i < later; i++) chosen.push(from + random.int(n - from));
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
 * crowd out rare ones and each value head sees one block of rows. Half of a block, its end, are tokens of answers to
 * another question, where there are any: with a counterfactual each leads to the same token behind the prompt that asks
 * it.
 */
export function labelledBatches(rows: Rows, options: LabelledBatchOptions): (step: number) => Arrays {
  const byConcept = groupRows(rows);
  const targets = rows.later ? indexTargets(rows, rows.later) : null;
  const sources = targets && groupSources(rows, targets);
  const partners = options.counterfactual ? indexPartners(rows) : null;
  const perConcept = rowsPerConcept(options.batchSize, rows.nConcepts);
  return (step) => {
    const random = createRandom(options.seed, 'posttrain', step);
    const draw = (group: readonly number[], count: number) =>
      Array.from({ length: count }, () => group[random.int(group.length)]!);
    const chosen = byConcept.flatMap((group, concept) => {
      const later = sources?.[concept] ?? [];
      const end = later.length > 0 ? Math.floor(perConcept / 2) : 0;
      return [...draw(group, perConcept - end), ...draw(later, end)];
    });
    return labelledBatch(rows, chosen, { ...options, partners, targets }, random);
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
  const byConcept = groupRows(rows).map((group) => random.shuffle(group));
  const partners = options.counterfactual ? indexPartners(rows) : null;
  const M = rowsPerConcept(options.batchSize, rows.nConcepts);
  const needed = Math.ceil(Math.max(...byConcept.map((group) => group.length)) / M);
  return Array.from({ length: Math.min(needed, maxBatches) }, (_, i) => {
    const places = Array.from({ length: M }, (_, j) => i * M + j);
    const chosen = byConcept.flatMap((group) => places.map((place) => group[place % group.length]!));
    const fresh = byConcept.flatMap((group) => places.map((place) => place < group.length));
    const batch = labelledBatch(
      rows,
      chosen,
      { ...options, mixEntities: false, partners, targets: null },
      random,
    );
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
  {
    partners,
    targets,
    mixEntities,
    silent,
  }: LabelledBatchOptions & { partners: Partners | null; targets: Targets | null },
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
    const pairs = choosePartners(rows, chosen, { partners, targets }, random);
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

function indexPartners({ entities, concepts, withheld, later }: Rows): Partners {
  const partners: Partners = new Map();
  entities.subarray(0, later?.from).forEach((entity, row) => {
    if (withheld?.[row]) return;
    const byConcept = partners.get(entity) ?? new Map<number, number[]>();
    partners.set(entity, byConcept);
    const group = byConcept.get(concepts[row]!);
    if (group) group.push(row);
    else byConcept.set(concepts[row]!, [row]);
  });
  return partners;
}

/** Of each row at a token of an answer to another question: the rows at the same token behind the prompt that asks it. */
type Targets = Map<number, readonly number[]>;

/** Rows that have none are left out, and those whose targets are withheld. */
function indexTargets({ entities, concepts, withheld }: Rows, { from, said, places }: LaterRows): Targets {
  const keyOf = (row: number) => `${entities[row]} ${said[row - from]} ${places[row - from]}`;
  const isOwn = (row: number) => concepts[row] === said[row - from];
  const groups = new Map<string, number[]>();
  const rows = Array.from(said, (_, i) => from + i);
  for (const row of rows) {
    if (!isOwn(row) || withheld?.[row]) continue;
    const group = groups.get(keyOf(row));
    if (group) group.push(row);
    else groups.set(keyOf(row), [row]);
  }
  return new Map(
    rows.flatMap((row) => {
      const group = isOwn(row) ? undefined : groups.get(keyOf(row));
      return group ? [[row, group] as const] : [];
    }),
  );
}

function groupSources({ concepts, nConcepts }: Rows, targets: Targets): number[][] {
  const groups: number[][] = Array.from({ length: nConcepts }, () => []);
  for (const row of targets.keys()) groups[concepts[row]!]!.push(row);
  return groups;
}

/** What a row is led to: a row of the same entity about another concept, or the row itself where there is none. */
interface Pair {
  row: number;
  target: number;
  paired: boolean;
}

function choosePartners(
  { entities, concepts, later }: Rows,
  chosen: readonly number[],
  { partners, targets }: { partners: Partners; targets: Targets | null },
  random: Random,
): Pair[] {
  return chosen.map((row) => {
    const own = concepts[row]!;
    const same = later && row >= later.from ? targets!.get(row)! : null;
    if (same) return { row: same[random.int(same.length)]!, target: concepts[same[0]!]!, paired: true };
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
 * 2018). Rows stay as they are where that entity has no prompt about the partner's concept, and so do tokens of answers,
 * which are not the same from entity to entity.
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
  const from = rows.later?.from ?? Number.POSITIVE_INFINITY;
  pairs.forEach(({ target, paired }, i) => {
    if (chosen[i]! >= from) return;
    // The rows of one concept are a block of M.
    const block = Math.floor(i / M) * M;
    const last = chosen.slice(block, block + M).filter((row) => row < from);
    const other = last[random.int(last.length)]!;
    const group = partners.get(rows.entities[other]!)?.get(target);
    if (!paired || !group) return;
    const share = random.next();
    blend(batch.x!.data as Float32Array, i, other, share);
    blend(batch.partner!.data as Float32Array, i, group[random.int(group.length)]!, share);
  });
}

/** Rows at last tokens by concept. */
function groupRows({ concepts, nConcepts, later }: Rows): number[][] {
  const groups: number[][] = Array.from({ length: nConcepts }, () => []);
  concepts.subarray(0, later?.from).forEach((concept, row) => {
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

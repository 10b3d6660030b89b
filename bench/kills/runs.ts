/** Small runs of every kind, what they come to when nobody disturbs them, and what is wrong with one that was. */
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiClient, success } from '../../src/demo/client.ts';
import { GENERATE_DATASET, START_ALIGNMENT_RUN, START_MODEL_RUN } from '../../src/demo/operations.ts';
import { readFigures, readSequence } from '../results/figures.ts';
import * as operations from '../results/operations.ts';

export interface Kind {
  name: string;
  mutation: string;
  input: object;
  /** What an unkilled run came to, and how long it took. */
  tables: Record<string, object[]>;
  ms: number;
}

export interface State {
  status: string;
  phase: string;
  progress: number;
}

const STATE = /* GraphQL */ `
  query ($id: ID!) { run(id: $id) { status phase progress } }
`;
/** Rows that are missing, too many or others; numbers missing in what was told; 1 where it did not succeed. */
export type Faults = Record<'lost' | 'doubled' | 'different' | 'gaps' | 'failed', number>;

/** Runs of every kind that nobody kills. */
export async function prepare(url: string, api: ApiClient): Promise<Kind[]> {
  const kinds: Kind[] = [];
  const add = async (name: string, mutation: string, input: object): Promise<string> => {
    const begun = performance.now();
    const id = await start(api, mutation, input);
    const { status } = await until(api, id, (state) => !['QUEUED', 'RUNNING'].includes(state.status));
    if (status !== 'SUCCEEDED') throw new Error(`${name} ended as ${status} with nobody killing it`);
    const ms = performance.now() - begun;
    kinds.push({ name, mutation, input, ms, tables: (await readFigures(url, api, id)).tables });
    console.log(`${name}: ${(ms / 1000).toFixed(1)} s unkilled`);
    return id;
  };
  const datasetId = await generate(api, GENERATE_DATASET, { people: 40, seed: 0 });
  const model = await add('MODEL', START_MODEL_RUN, {
    datasetId,
    settings: { seed: 0, steps: 200, logEvery: 1 },
  });
  type Trained = { run: { model: { id: string } } };
  const query = 'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }';
  const modelId = (await api.request<Trained>(query, { id: model })).run.model.id;
  const settings = { pretrain: { steps: 150 }, posttrain: { steps: 200 }, logEvery: 1 };
  const runId = await add('ALIGNMENT', START_ALIGNMENT_RUN, { modelId, settings });
  await add('BASELINE', operations.START_BASELINE_RUN, { modelId, settings: { steps: 300, logEvery: 1 } });
  const few = { alphas: [1, 2], promptsPerPair: 8, isolationPerPair: 3 };
  await add('SWAP_SWEEP', operations.START_SWAP_SWEEP, { runId, settings: few });
  const layers = { modelId, layers: [0, 1], settings };
  await add('ALIGNMENT_SWEEP', operations.START_ALIGNMENT_SWEEP, layers);
  const data = { entities: 20, relations: 6, factPhrasings: 0, trainShare: 0.2, seed: 0 };
  const grokking = await add('GROKKING', operations.START_GROKKING_RUN, {
    datasetId: await generate(api, operations.GENERATE_TWO_HOP_DATASET, data),
    modelSettings: { seed: 0, nLayers: 2, nHeads: 1, nCtx: 16, steps: 150, batchSize: 64, logEvery: 1 },
    settings: { checkpoints: { steps: [0, 150] }, analysis: { layer: 0, posttrainSteps: 60 } },
  });
  const swaps = { alphas: [1], trials: 40 };
  await add('HOP_SWAP', operations.START_HOP_SWAP_RUN, { runId: grokking, settings: swaps });
  return kinds;
}

export async function judge(url: string, api: ApiClient, id: string, kind: Kind): Promise<Faults> {
  const { status, tables } = await persistently(() => readFigures(url, api, id));
  const found = { lost: 0, doubled: 0, different: 0, gaps: 0, failed: Number(status !== 'SUCCEEDED') };
  for (const [name, rows] of Object.entries(kind.tables)) {
    const expected = rows.map((row) => JSON.stringify(row));
    const got = (tables[name] ?? []).map((row) => JSON.stringify(row));
    found.lost += Math.max(0, expected.length - got.length);
    found.doubled += Math.max(0, got.length - expected.length);
    found.different +=
      got.length === expected.length ? got.filter((row, i) => row !== expected[i]).length : 0;
  }
  const seqs = await persistently(() => readSequence(url, api, id));
  found.gaps = seqs.filter((seq, i) => seq !== i + 1).length;
  return found;
}

export function describeFaults(found: Faults): string {
  const wrong = Object.entries(found).filter(([, count]) => count > 0);
  return wrong.map(([key, count]) => `${count} ${key}`).join(', ') || 'as if it never was';
}

export async function start(api: ApiClient, mutation: string, input: object): Promise<string> {
  type Reply = Record<string, { __typename: string; run?: { id: string } }>;
  const reply = await persistently(() => api.request<Reply>(mutation, { input }));
  return (success(Object.values(reply)[0]!) as { run: { id: string } }).run.id;
}

export async function generate(api: ApiClient, mutation: string, input: object): Promise<string> {
  type Reply = Record<string, { __typename: string; dataset?: { id: string } }>;
  const reply = await api.request<Reply>(mutation, { input });
  return (success(Object.values(reply)[0]!) as { dataset: { id: string } }).dataset.id;
}

export async function until(api: ApiClient, id: string, is: (state: State) => boolean): Promise<State> {
  for (;;) {
    const state = await stateOf(api, id);
    if (is(state)) return state;
    await delay(50);
  }
}

export async function stateOf(api: ApiClient, id: string): Promise<State> {
  return (await persistently(() => api.request<{ run: State }>(STATE, { id }))).run;
}

/** A server that is started again takes its time on a busy machine. */
const PATIENCE_MS = 120_000;

/** Asks until there is an answer: the API or Postgres may be away for a moment. */
export async function persistently<T>(ask: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; ; )
    try {
      return await ask();
    } catch (error) {
      if (Date.now() > end) throw error;
      await delay(50);
    }
}

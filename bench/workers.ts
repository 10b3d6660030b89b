/**
 * A layer sweep on 1, 2 and 4 workers, each with half a core: `npx tsx bench/workers.ts [--steps 2000]`. Says how many times
 * as fast as on one worker it is. Workers and their engines are kept to half a core by control groups, so that two cores
 * are enough to see it; four take both, so nothing else should run. On Linux, as root.
 */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ApiClient, createApiClient } from '../src/demo/client.ts';
import { GENERATE_DATASET, START_MODEL_RUN } from '../src/demo/operations.ts';
import { generate, start, until } from './kills/runs.ts';
import { readFigures } from './results/figures.ts';
import { START_ALIGNMENT_SWEEP } from './results/operations.ts';
import { endProcess, startServer, urlOf } from './serverProcess.ts';

const { values: options } = parseArgs({ options: { steps: { type: 'string', default: '2000' } } });
const SHARE = 0.5;
const PERIOD_US = 100_000;
/** Over others on the machine, so that they do not take of that half. */
const PRECEDENCE = 8;
const COUNTS = [1, 2, 4];
/** Eight parts, so that four workers have two each. */
const PARTS = { layers: [0, 1, 2, 3], seeds: [0, 1] };

/** A control group whose processes have half a core together; `within` runs a command in it. */
function makeGroup(name: string): { within: readonly string[]; remove(): void } {
  const isFirst = existsSync('/sys/fs/cgroup/cpu/cpu.shares');
  const path = join(isFirst ? '/sys/fs/cgroup/cpu' : '/sys/fs/cgroup', name);
  mkdirSync(path);
  if (isFirst) {
    writeFileSync(join(path, 'cpu.cfs_period_us'), String(PERIOD_US));
    writeFileSync(join(path, 'cpu.cfs_quota_us'), String(SHARE * PERIOD_US));
    writeFileSync(join(path, 'cpu.shares'), String(1024 * PRECEDENCE));
  } else {
    writeFileSync(join(path, 'cpu.max'), `${SHARE * PERIOD_US} ${PERIOD_US}`);
    writeFileSync(join(path, 'cpu.weight'), String(100 * PRECEDENCE));
  }
  const enter = `echo $$ > ${path}/cgroup.procs && exec "$@"`;
  return { within: ['sh', '-c', enter, 'sh'], remove: () => rmdirSync(path) };
}

/** Does `work` while so many limited workers are up. */
async function withWorkers<T>(count: number, dataDir: string, work: () => Promise<T>): Promise<T> {
  const groups = Array.from({ length: count }, (_, i) => makeGroup(`alignsae-${process.pid}-${i}`));
  const workers = await Promise.all(
    groups.map(({ within }) =>
      startServer({ ROLE: 'worker', DATA_DIR: dataDir }, 'the worker takes runs', { within }),
    ),
  );
  try {
    return await work();
  } finally {
    await Promise.all(workers.map(({ child }) => endProcess(child)));
    for (const group of groups) group.remove();
  }
}

async function finish(
  api: ApiClient,
  mutation: string,
  input: object,
): Promise<{ id: string; seconds: number }> {
  const begun = performance.now();
  const id = await start(api, mutation, input);
  const { status } = await until(api, id, (state) => !['QUEUED', 'RUNNING'].includes(state.status));
  if (status !== 'SUCCEEDED') throw new Error(`${mutation} ended as ${status}`);
  return { id, seconds: (performance.now() - begun) / 1000 };
}

async function measure(url: string, dataDir: string): Promise<void> {
  const api = createApiClient(`${url}/graphql`);
  const datasetId = await generate(api, GENERATE_DATASET, { people: 40, seed: 0 });
  const modelInput = { datasetId, settings: { seed: 0, steps: 200 } };
  const model = await withWorkers(1, dataDir, () => finish(api, START_MODEL_RUN, modelInput));
  type Trained = { run: { model: { id: string } } };
  const query = 'query ($id: ID!) { run(id: $id) { ... on ModelRun { model { id } } } }';
  const modelId = (await api.request<Trained>(query, { id: model.id })).run.model.id;
  const steps = Number(options.steps);
  const settings = { pretrain: { steps }, posttrain: { steps } };
  let alone: { seconds: number; tables: string } | null = null;
  for (const count of COUNTS) {
    const before = loadavg()[0]!.toFixed(1);
    const { id, seconds } = await withWorkers(count, dataDir, () =>
      finish(api, START_ALIGNMENT_SWEEP, { modelId, ...PARTS, settings }),
    );
    const tables = JSON.stringify((await readFigures(url, api, id)).tables);
    alone ??= { seconds, tables };
    const same = tables === alone.tables ? 'the same results' : 'OTHER RESULTS';
    const ratio = (alone.seconds / seconds).toFixed(2);
    console.log(
      `${count} workers: ${seconds.toFixed(1)} s, ${ratio} × one, ${same} (load before: ${before})`,
    );
  }
  await api.close();
}

const dataDir = await mkdtemp(join(tmpdir(), 'alignsae-workers-'));
await chmod(dataDir, 0o755);
const api = await startServer({ ROLE: 'api', PORT: '0', DATA_DIR: dataDir }, 'listening');
try {
  await measure(urlOf(api), dataDir);
} finally {
  await endProcess(api.child);
  await rm(dataDir, { recursive: true, force: true });
}

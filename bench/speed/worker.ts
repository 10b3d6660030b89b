/** Our side of a comparison: does the work it is told to, and times it. Speaks lines of JSON (`contestant.ts`). */
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { loadBenchBackend } from '../backend.ts';
import type { Requests, Setup } from './contestant.ts';
import { createTask, type Task } from './tasks/task.ts';

const replies = createWriteStream('', { fd: 3 });
let task: Task | null = null;

const handlers: { [T in keyof Requests]: (request: Requests[T]['ask']) => Promise<Requests[T]['answer']> } = {
  setup,
  check: async () => ({ values: await open().check() }),
  run: async ({ times }) => ({ ms: await time(times) }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { type, ...request } = JSON.parse(line) as { type: keyof Requests };
  try {
    const handle = handlers[type] as (request: object) => Promise<object>;
    reply(await handle(request));
  } catch (error) {
    reply({ error: (error as Error).stack ?? String(error) });
  }
}

async function setup({ work, inputs, variant, cache }: Setup): Promise<Requests['setup']['answer']> {
  const { backend, tensorflowVersion } = await loadBenchBackend('auto', cache);
  task = await createTask(work, inputs, variant);
  const versions = { [backend]: tensorflowVersion ?? 'yes', node: process.versions.node };
  return { versions, units: task.units };
}

/** Milliseconds of each of `times` runs. */
async function time(times: number): Promise<number[]> {
  const { run } = open();
  const ms: number[] = [];
  for (let i = 0; i < times; i++) {
    const started = performance.now();
    await run();
    ms.push(performance.now() - started);
  }
  return ms;
}

function open(): Task {
  if (!task) throw new Error('nothing is set up');
  return task;
}

function reply(answer: object): void {
  replies.write(`${JSON.stringify(answer)}\n`);
}

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

async function setup({ work, inputs, variant, cache }: Setup): Promise<{ versions: Record<string, string> }> {
  const { backend, tensorflowVersion } = await loadBenchBackend('auto', cache);
  task = await createTask(work, inputs, variant);
  return { versions: { [backend]: tensorflowVersion ?? 'yes', node: process.versions.node } };
}

/** Milliseconds of each of `times` runs; of a run's single edit, where it is made of several. */
async function time(times: number): Promise<number[]> {
  const { run, units } = open();
  const ms: number[] = [];
  for (let i = 0; i < times; i++) {
    const started = performance.now();
    await run();
    ms.push((performance.now() - started) / units);
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

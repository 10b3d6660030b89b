/** An API and a worker as processes of their own on one embedded Postgres, and who of them can be killed. */
import { readdir, readFile } from 'node:fs/promises';
import { endProcess, freePort, startServer } from '../serverProcess.ts';

export const VICTIMS = ['engine', 'worker', 'api', 'postgres'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface Household {
  url: string;
  /** Kills with SIGKILL and, as a supervisor would, starts the API or the worker again. False where there is none to kill. */
  kill(victim: Victim): Promise<boolean>;
  stop(): Promise<void>;
}

export async function startHousehold(dataDir: string): Promise<Household> {
  const port = await freePort();
  const env = { DATA_DIR: dataDir, PORT: String(port), CHECKPOINT_INTERVAL: '500ms', LOG_LEVEL: 'info' };
  const start = {
    api: () => startServer({ ...env, ROLE: 'api' }, 'listening'),
    worker: () => startServer({ ...env, ROLE: 'worker' }, 'the worker takes runs'),
  };
  const running = { api: await start.api(), worker: await start.worker() };
  return {
    url: `http://127.0.0.1:${port}`,
    async kill(victim) {
      const pid =
        victim === 'engine'
          ? await engineOf(running.worker.child.pid!)
          : victim === 'postgres'
            ? await postmasterOf(dataDir)
            : running[victim].child.pid!;
      if (pid === null) return false;
      process.kill(pid, 'SIGKILL');
      if (victim === 'api' || victim === 'worker') running[victim] = await start[victim]();
      return true;
    },
    async stop() {
      for (const { child } of [running.worker, running.api]) await endProcess(child);
    },
  };
}

async function engineOf(worker: number): Promise<number | null> {
  for (const { pid, parent, command } of await processes())
    if (parent === worker && command.includes('engine/child')) return pid;
  return null;
}

async function postmasterOf(dataDir: string): Promise<number | null> {
  const all = await processes();
  const own = all.filter(({ command }) => command.includes('postgres\0-D') && command.includes(dataDir));
  return own.find(({ parent }) => !own.some(({ pid }) => pid === parent))?.pid ?? null;
}

async function processes(): Promise<{ pid: number; parent: number; command: string }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [stat, command] = await Promise.all(
        ['stat', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
      );
      const parent = Number(/\) \S (\d+)/.exec(stat!)?.[1]);
      return { pid: Number(pid), parent, command: command! };
    }),
  );
  return found;
}

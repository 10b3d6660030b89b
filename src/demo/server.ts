/** The server under the demo: an ordinary one, in a process of its own, that says over IPC where it listens. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface DemoServer {
  /** Such as `http://127.0.0.1:4000`. */
  url: string;
  /** Asks it to drain; resolves when the process is gone. */
  stop(): Promise<void>;
  /** Resolves when the process is gone. */
  exited: Promise<void>;
}

/** Starts it with this process's environment and `overrides`; what it logs goes to `logFile`'s descriptor. */
export async function startDemoServer(overrides: Record<string, string>, logFd: number): Promise<DemoServer> {
  const main = new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url);
  const child = fork(fileURLToPath(main), {
    env: { ...process.env, ...overrides },
    stdio: ['ignore', logFd, logFd, 'ipc'],
    // Ctrl-C reaches this process alone, which then asks the server to drain.
    detached: true,
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return { url: await listening(child), stop: () => stop(child, exited), exited };
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url));
    child.once('exit', (code) => reject(new Error(`The server ended with code ${code} before it listened.`)));
    child.once('error', reject);
  });
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  await exited;
}

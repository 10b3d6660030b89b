/** The server under the demo: an ordinary one, in a process of its own, that says over IPC where it listens. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, readConfig } from '../config.ts';
import { prepareNative } from '../engine/native/build.ts';
import { checkPort } from '../server/port.ts';
import { heading, line } from './terminal.ts';

export interface DemoServer {
  /** Such as `http://127.0.0.1:4000`. */
  url: string;
  /** Asks it to drain; resolves when the process is gone. */
  stop(): Promise<void>;
  /** Resolves when the process is gone. */
  exited: Promise<void>;
}

export interface OwnServer extends DemoServer {
  logFile: string;
}

/** Has ready what the demo needs besides the engine; returns how the server's environment differs for it. */
export type Prepare = (config: Config) => Promise<Record<string, string>>;

/**
 * Prepares the engine in sight, starts API and worker as one process, and ends it with this one's signals.
 * @throws AppError UNAVAILABLE when another process has the port, before anything is done.
 */
export async function startOwnServer(prepare: Prepare = async () => ({})): Promise<OwnServer> {
  const config = readConfig();
  await checkPort(config);
  heading('Engine');
  if (config.engineBackend !== 'wasm')
    await prepareNative({
      cacheDir: config.cacheDir,
      tensorflowDir: config.tensorflowDir,
      environment: process.env,
      log: (message) => line(`  ${message}`),
    });
  const overrides = await prepare(config);
  mkdirSync(config.dataDir, { recursive: true });
  const logFile = join(config.dataDir, 'server.log');
  const server = await startServer({ ROLE: 'all', ...overrides }, openSync(logFile, 'a')).catch(
    (error: Error) => {
      throw new Error(`${error.message} Its log is ${logFile}`);
    },
  );
  const stop = () => void server.stop();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return { ...server, logFile };
}

/** Starts it with this process's environment and `overrides`; what it logs goes to the descriptor `logFd`. */
async function startServer(overrides: Record<string, string>, logFd: number): Promise<DemoServer> {
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
    child.once('message', (message) => {
      const { url, failure } = message as { url?: string; failure?: string };
      if (url !== undefined) resolve(url);
      else reject(new Error(`The server did not start: ${failure}`));
    });
    child.once('exit', (code) => reject(new Error(`The server ended with code ${code} before it listened.`)));
    child.once('error', reject);
  });
}

async function stop(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.kill('SIGTERM');
  await exited;
}

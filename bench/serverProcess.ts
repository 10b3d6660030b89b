/** A server of this project as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Started {
  child: ChildProcess;
  /** The line of its log that was waited for. */
  line: string;
}

/**
 * Resolves when it has logged a message that begins so. `within` is a command that runs another one.
 * @throws where it ends before.
 */
export async function startServer(
  env: Record<string, string>,
  message: string,
  { within = [], stderr = 'inherit' }: { within?: readonly string[]; stderr?: 'inherit' | 'ignore' } = {},
): Promise<Started> {
  const [command, ...args] = [...within, process.execPath, '--import', 'tsx', MAIN];
  const child = spawn(command!, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', stderr],
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (text) => {
      if (text.includes(`"msg":"${message}`)) resolve(text);
    });
    child.once('exit', (code) => reject(new Error(`${env.ROLE} ended with ${code} before it was ready`)));
  });
  return { child, line };
}

/** Where an API says that it listens. */
export function urlOf({ line }: Started): string {
  return (JSON.parse(line) as { url: string }).url;
}

/** Sends the signal, and waits for the end; nothing where it has ended. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Programs that the builder runs: found on the caller's PATH, run in the caller's environment. */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** Environment variables, handed in by whoever may read the process's. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Command {
  file: string;
  args: readonly string[];
}

const run = promisify(execFile);

/**
 * Runs a command to its end and returns what it wrote to stdout.
 * @throws Error with the command's own words when it fails or cannot be started.
 */
export async function execute({ file, args }: Command, environment: Environment): Promise<string> {
  try {
    const { stdout } = await run(file, args, { env: { ...environment }, maxBuffer: 64 * 1024 ** 2 });
    return stdout;
  } catch (error) {
    throw new Error(`${basename(file)} failed: ${describeFailure(error)}`, { cause: error });
  }
}

/** First file of that name on PATH that may be executed, or null. */
export async function findOnPath(name: string, environment: Environment): Promise<string | null> {
  if (name.includes('/')) return (await isExecutable(name)) ? name : null;
  for (const directory of (environment.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(directory, name);
    if (await isExecutable(file)) return file;
  }
  return null;
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The last lines of stderr that say `error`, or else its last line, or else the signal or the system's error. */
function describeFailure(error: unknown): string {
  const { stderr, signal, message } = error as Error & { stderr?: string; signal?: string };
  const lines = (stderr ?? '').split('\n').filter((line) => line.trim() !== '');
  const errors = lines.filter((line) => /\berror\b/i.test(line));
  const said = (errors.length > 0 ? errors.slice(0, 2) : lines.slice(-1)).join(' ').trim();
  return said || (signal ? `ended by ${signal}` : message);
}

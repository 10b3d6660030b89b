/** Getting a wheel with whichever pip there is, so that its mirrors, proxies and certificates apply. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Command, type Environment, execute, findOnPath } from './command.ts';
import { type Wheel, wheelFile } from './wheels.ts';

/** Ways to start pip, in the order they are tried. */
const PIPS: readonly Command[] = [
  { file: 'python3', args: ['-m', 'pip'] },
  { file: 'python', args: ['-m', 'pip'] },
  { file: 'pip3', args: [] },
  { file: 'pip', args: [] },
  { file: 'uvx', args: ['pip'] },
];

const REPORT_EVERY_MS = 5000;

/** @throws Error saying what to install when none of the ways to start pip works. */
export async function findPip(environment: Environment): Promise<Command> {
  for (const { file, args } of PIPS) {
    const path = await findOnPath(file, environment);
    if (!path) continue;
    const pip = { file: path, args };
    // A launcher may be there without the module, or without the interpreter behind it.
    const works = await execute({ file: path, args: [...args, '--version'] }, environment).then(
      () => true,
      () => false,
    );
    if (works) return pip;
  }
  throw new Error(
    `TensorFlow cannot be downloaded, for there is no pip: install one (on Debian, python3-pip), or set TENSORFLOW_DIR to an unpacked TensorFlow.`,
  );
}

/** The pip call that downloads a wheel, whatever Python and whatever machine that pip itself runs on. */
export function downloadCommand(pip: Command, wheel: Wheel, directory: string): Command {
  const [python, abi] = wheel.python.split('-') as [string, string];
  const tags = wheel.platform.split('.').flatMap((tag) => ['--platform', tag]);
  const args = ['download', `${wheel.project}==${wheel.version}`, '--dest', directory];
  args.push('--no-deps', '--only-binary=:all:', ...tags, '--implementation', python.slice(0, 2));
  args.push('--python-version', python === 'py3' ? '3' : '311', '--abi', abi);
  args.push('--progress-bar', 'off', '--disable-pip-version-check', '--no-input', '--retries', '2');
  return { file: pip.file, args: [...pip.args, ...args] };
}

/**
 * Returns the path of the wheel in `directory`, downloading it unless it is there already and whole.
 * @throws Error when the download fails or its SHA-256 is not the pinned one; nothing is kept then.
 */
export async function fetchWheel(
  wheel: Wheel,
  directory: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<string> {
  const path = join(directory, wheelFile(wheel));
  if (await exists(path)) {
    if ((await sha256Of(path)) === wheel.sha256) return path;
    log(`${path} is damaged and is downloaded again`);
    await rm(path);
  }
  const pip = await findPip(environment);
  log(
    `downloading ${wheelFile(wheel)} (${megabytes(wheel.bytes)}) with ${[pip.file, ...pip.args].join(' ')}`,
  );
  await mkdir(directory, { recursive: true });
  const temporary = await mkdtemp(join(directory, 'partial-'));
  const reports = setInterval(() => void reportSize(temporary, wheel, log), REPORT_EVERY_MS).unref();
  try {
    // pip writes to TMPDIR first; beside the destination there is room, and moving is a rename.
    await execute(downloadCommand(pip, wheel, temporary), {
      ...environment,
      TMPDIR: temporary,
      PIP_REQUIRE_VIRTUALENV: '0',
    });
    const downloaded = join(temporary, wheelFile(wheel));
    const sha256 = await sha256Of(downloaded);
    if (sha256 !== wheel.sha256) {
      throw new Error(`${wheelFile(wheel)} has SHA-256 ${sha256}, expected ${wheel.sha256}.`);
    }
    await rename(downloaded, path);
  } finally {
    clearInterval(reports);
    await rm(temporary, { recursive: true, force: true });
  }
  return path;
}

async function reportSize(directory: string, wheel: Wheel, log: (message: string) => void): Promise<void> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        (s) => s.size,
        () => 0,
      ),
    ),
  );
  log(`${megabytes(Math.max(0, ...sizes))} of ${megabytes(wheel.bytes)}`);
}

export function megabytes(bytes: number): string {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

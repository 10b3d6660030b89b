/** Getting a wheel with whichever pip there is, so that its mirrors, proxies and certificates apply. */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, type Environment, execute, findOnPath } from './command.ts';
import { exists, inTemporaryDir, megabytes, sha256Of } from './files.ts';
import type { Wheel } from './pins.ts';
import { wheelFile } from './wheels.ts';

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
  // A package may ask for a Python of at least some version, so name one that is whole.
  args.push('--python-version', '311', '--abi', abi);
  args.push('--progress-bar', 'off', '--disable-pip-version-check', '--no-input', '--retries', '2');
  return { file: pip.file, args: [...pip.args, ...args] };
}

/**
 * Returns the path of the wheel in `<root>/downloads`, downloading it unless it is there already and whole.
 * @throws Error when the download fails or its SHA-256 is not the pinned one; nothing is kept then.
 */
export async function fetchWheel(
  wheel: Wheel,
  root: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<string> {
  const path = join(root, 'downloads', wheelFile(wheel));
  if (await exists(path)) {
    if ((await sha256Of(path)) === wheel.sha256) return path;
    log(`${path} is damaged and is downloaded again`);
    await rm(path);
  }
  await mkdir(dirname(path), { recursive: true });
  await inTemporaryDir(root, async (directory) => {
    await download(wheel, directory, environment, log);
    const downloaded = join(directory, wheelFile(wheel));
    const sha256 = await sha256Of(downloaded);
    if (sha256 !== wheel.sha256) {
      throw new Error(`${wheelFile(wheel)} has SHA-256 ${sha256}, expected ${wheel.sha256}.`);
    }
    await rename(downloaded, path);
  });
  return path;
}

async function download(
  wheel: Wheel,
  directory: string,
  environment: Environment,
  log: (message: string) => void,
): Promise<void> {
  const pip = await findPip(environment);
  const name = [pip.file, ...pip.args].join(' ');
  log(`downloading ${wheelFile(wheel)} (${megabytes(wheel.bytes)}) with ${name}`);
  const reports = setInterval(() => void reportSize(directory, wheel, log), REPORT_EVERY_MS).unref();
  try {
    // pip writes to TMPDIR first; here there is room.
    const variables = { ...environment, TMPDIR: directory, PIP_REQUIRE_VIRTUALENV: '0' };
    await execute(downloadCommand(pip, wheel, directory), variables);
  } finally {
    clearInterval(reports);
  }
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

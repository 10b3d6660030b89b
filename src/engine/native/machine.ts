/** What this machine offers the native engine. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Environment, execute, findOnPath } from './command.ts';

export interface Machine {
  platform: NodeJS.Platform;
  arch: string;
  /** Version of the GNU C library, such as `2.36`; null where the C library is another one. */
  glibc: string | null;
  /** Names of the NVIDIA GPUs. */
  gpus: readonly string[];
}

/** The oldest GNU C library that the TensorFlow wheels accept. */
const OLDEST_GLIBC = '2.27';

export async function inspectMachine(environment: Environment): Promise<Machine> {
  const { platform, arch } = process;
  const gpus = platform === 'linux' ? await listGpus(environment) : [];
  return { platform, arch, glibc: glibcVersion(), gpus };
}

/** Why the native engine cannot be built on this machine, or null. */
export function unsupportedReason({ platform, arch, glibc }: Machine): string | null {
  if (platform !== 'linux' || !['x64', 'arm64'].includes(arch)) {
    return `The native engine is built for Linux on x64 and arm64; this is ${platform} on ${arch}.`;
  }
  if (glibc === null) {
    return 'The native engine needs the GNU C library; this system has another (Alpine has musl).';
  }
  if (glibc.localeCompare(OLDEST_GLIBC, undefined, { numeric: true }) < 0) {
    return `The native engine needs glibc ${OLDEST_GLIBC} or newer; this system has ${glibc}.`;
  }
  return null;
}

function glibcVersion(): string | null {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime ?? null;
}

async function listGpus(environment: Environment): Promise<string[]> {
  const smi = await findOnPath('nvidia-smi', environment);
  if (!smi) return listGpusOfDriver();
  // Without a working driver it is installed and fails.
  const query = { file: smi, args: ['--query-gpu=name', '--format=csv,noheader'] };
  const names = await execute(query, environment).catch(() => '');
  return names.split('\n').filter((name) => name.trim() !== '');
}

async function listGpusOfDriver(): Promise<string[]> {
  const root = '/proc/driver/nvidia/gpus';
  const gpus = await readdir(root).catch(() => []);
  const files = await Promise.all(gpus.map((gpu) => readFile(join(root, gpu, 'information'), 'utf8')));
  return files.map((text) => /^Model:\s*(.+)$/m.exec(text)?.[1] ?? 'NVIDIA GPU');
}

/** Addons that somebody else compiled: the package `alignsae-native-<platform>-<arch>`, which `npm run prebuilt` makes. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join } from 'node:path';
import type { BindingSource } from './compile.ts';

/** What the package holds, best first; `addons.json` in it. */
export interface Prebuilt {
  /** `BindingSource.contents` of what was compiled. */
  contents: string;
  addons: { file: string; sha256: string; level: string }[];
}

export interface Level {
  /** As `-march` names it. */
  name: string;
  /** Flags that Linux names of a processor that can run it. */
  needs: readonly string[];
}

const V2 = ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3'];
const V3 = [...V2, 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe'];
const V4 = [...V3, 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'];

/** The processors that there is an addon each for, best first; TensorFlow itself needs AVX. */
export const LEVELS: Readonly<Record<string, readonly Level[]>> = {
  x64: [
    { name: 'x86-64-v4', needs: V4 },
    { name: 'x86-64-v3', needs: V3 },
    { name: 'x86-64-v2', needs: V2 },
  ],
  arm64: [{ name: 'armv8-a', needs: [] }],
};

export const prebuiltPackage = (forArch = arch()): string => `alignsae-native-${platform()}-${forArch}`;

/** The best addon for this processor of the package beside this one; null without one that fits these sources. */
export async function findPrebuilt(source: BindingSource): Promise<Prebuilt['addons'][number] | null> {
  const directory = locate();
  if (!directory) return null;
  const { contents, addons } = JSON.parse(await readFile(join(directory, 'addons.json'), 'utf8')) as Prebuilt;
  if (contents !== source.contents) return null;
  const flags = await readProcessorFlags();
  const fits = ({ needs }: Level) => needs.every((flag) => flags.has(flag));
  const names = (LEVELS[arch()] ?? []).filter(fits).map(({ name }) => name);
  const addon = addons.find(({ level }) => names.includes(level));
  return addon ? { ...addon, file: join(directory, addon.file) } : null;
}

function locate(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${prebuiltPackage()}/package.json`));
  } catch {
    return null;
  }
}

/** Empty where Linux does not tell. */
export async function readProcessorFlags(): Promise<Set<string>> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  return new Set(/^flags\s*:(.*)$/m.exec(text)?.[1]?.trim().split(/\s+/));
}

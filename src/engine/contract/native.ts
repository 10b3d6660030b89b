import type { ProductChoice } from './products.ts';

/**
 * What the builder hands to whoever forks an engine child, as plain data: it travels in the `init` message, and
 * `nativeEnvironment` turns it into the child's environment.
 */
export type NativeAddon =
  | {
      available: true;
      /** Absolute path of `tfjs_binding.node`. */
      path: string;
      tensorflowVersion: string;
      /** Names of the NVIDIA GPUs the addon was built for; empty for the CPU build. */
      gpus: readonly string[];
      /** Directories of shared libraries that the dynamic loader must be told about before the child starts. */
      libraryDirs: readonly string[];
      /** How its kernels multiply; empty where they do not, on GPUs. */
      products: readonly ProductChoice[];
    }
  | { available: false; reason: string };

/**
 * The variables a child needs besides those it inherits. They are read when the process starts or TensorFlow is
 * loaded, so set them on `fork`: TensorFlow's C++ logs below ERROR silenced; oneDNN off, which at these sizes is no
 * slower, says nothing at every start, and sums in the same order on every CPU; memory in huge pages, for the kernel
 * otherwise spends a quarter of a large step on handing it out by 4 kB, and for all threads from one arena, for what
 * one thread frees another asks for next (glibc alone reads these); one op at a time, each on all cores, for two at a
 * time wait for one another; and the NVIDIA libraries in front of the library path.
 */
export function nativeEnvironment(
  addon: NativeAddon,
  inherited: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const variables: Record<string, string> = {
    TF_CPP_MIN_LOG_LEVEL: inherited.TF_CPP_MIN_LOG_LEVEL ?? '2',
    TF_ENABLE_ONEDNN_OPTS: inherited.TF_ENABLE_ONEDNN_OPTS ?? '0',
    TF_NUM_INTEROP_THREADS: inherited.TF_NUM_INTEROP_THREADS ?? '1',
    GLIBC_TUNABLES: inherited.GLIBC_TUNABLES ?? 'glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1',
  };
  if (addon.available && addon.libraryDirs.length > 0) {
    const paths = [...addon.libraryDirs, inherited.LD_LIBRARY_PATH].filter(Boolean);
    variables.LD_LIBRARY_PATH = paths.join(':');
  }
  return variables;
}

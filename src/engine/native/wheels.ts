/**
 * The TensorFlow builds that the addon is compiled against: PyPI's wheels, pinned by hash. Python itself plays no
 * part; CPython 3.11 is named because every wheel is for one version of it.
 */
import type { Machine } from './machine.ts';
import { CPU_ARM64, CPU_X64, CUDA_X64, NVIDIA_LIBRARIES, TENSORFLOW_VERSION, type Wheel } from './pins.ts';

export interface WheelSet {
  /** Names the directory it is unpacked into. */
  name: string;
  /** TensorFlow first, then the NVIDIA libraries that its `and-cuda` extra names. */
  wheels: readonly Wheel[];
}

/** The wheels for this machine: with CUDA where there is an NVIDIA GPU that PyPI has a TensorFlow for. */
export function chooseWheels({ arch, gpus }: Pick<Machine, 'arch' | 'gpus'>): WheelSet {
  if (arch === 'arm64') return { name: `tensorflow-${TENSORFLOW_VERSION}-cpu-arm64`, wheels: [CPU_ARM64] };
  if (gpus.length === 0) return { name: `tensorflow-${TENSORFLOW_VERSION}-cpu-x64`, wheels: [CPU_X64] };
  return { name: `tensorflow-${TENSORFLOW_VERSION}-cuda-x64`, wheels: [CUDA_X64, ...NVIDIA_LIBRARIES] };
}

export function wheelFile({ project, version, python, platform }: Wheel): string {
  return `${project.replaceAll('-', '_')}-${version}-${python}-${platform}.whl`;
}

/** Where a wheel's files go in the set's directory: `deps` for TensorFlow, `nvidia/<library>` for the others. */
export function wheelPart({ project }: Wheel): string {
  const library = /^nvidia-(.+)-cu12$/.exec(project)?.[1];
  return library ? `nvidia/${library.replaceAll('-', '_')}` : 'deps';
}

const HEADERS = /^include\/(tensorflow\/c|tensorflow\/core\/platform|tsl\/platform|xla\/tsl\/c)\//;
const LIBRARIES = /^libtensorflow_(cc|framework)\.so\.2$/;

/**
 * Where a file of a wheel goes within its part, or null when it is not needed: of TensorFlow's 1.2 GB the two
 * libraries and the headers that the binding includes; of NVIDIA's everything but the headers.
 */
export function destinationOf(wheel: Wheel, name: string): string | null {
  const part = wheelPart(wheel);
  if (part !== 'deps') {
    const inside = name.startsWith(`${part}/`) ? name.slice(part.length + 1) : null;
    return inside?.startsWith('include/') ? null : inside;
  }
  const inside = name.startsWith('tensorflow/') ? name.slice('tensorflow/'.length) : '';
  if (LIBRARIES.test(inside)) return `lib/${inside}`;
  return HEADERS.test(inside) ? inside : null;
}

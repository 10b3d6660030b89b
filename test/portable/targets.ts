/**
 * Processors that the kernels are compiled for and tested on without having them: qemu computes what they would.
 * TensorFlow's own x64 libraries need AVX, so there is none without it.
 */

export interface Target {
  name: string;
  /** C++ compiler and what it is told of the processor. */
  compiler: string;
  flags: readonly string[];
  /** qemu's user-mode emulator without its `qemu-`, and the processor it stands for. */
  emulator: string;
  processor: string;
  /** What `AlignsaeTarget` says there: arm64, AVX, AVX2, AVX-512. */
  is: readonly [number, number, number, number];
}

export const TARGETS: readonly Target[] = [
  {
    name: 'arm64',
    compiler: 'aarch64-linux-gnu-g++',
    flags: ['-march=armv8-a'],
    emulator: 'aarch64',
    processor: 'cortex-a72',
    is: [1, 0, 0, 0],
  },
  {
    name: 'x64 without AVX-512',
    compiler: 'x86_64-linux-gnu-g++',
    flags: ['-march=haswell'],
    emulator: 'x86_64',
    processor: 'Haswell',
    is: [0, 1, 1, 0],
  },
  {
    name: 'x64 without AVX2',
    compiler: 'x86_64-linux-gnu-g++',
    flags: ['-march=sandybridge'],
    emulator: 'x86_64',
    processor: 'SandyBridge',
    is: [0, 1, 0, 0],
  },
];

/** The tests of the kernels with kernels for other processors, emulated by qemu: `npm run test:portable`. */
import { defineConfig } from 'vitest/config';
import { buildPortable } from './test/portable/build.ts';
import { TARGETS } from './test/portable/targets.ts';

/** What calls every kernel, and holds it to the same function in plain operations. */
const FILES = [
  'test/portable/target.test.ts',
  'test/engine/kernels.test.ts',
  'test/engine/products.test.ts',
  ...['attention', 'decode', 'layers'].map((name) => `test/engine/model/${name}.test.ts`),
  ...['losses', 'batches', 'entries', 'encoding'].map((name) => `test/engine/sae/${name}.test.ts`),
];

export default defineConfig(async () => ({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './test/helpers/countReporter.ts'],
    projects: (await buildPortable(TARGETS)).map(({ target, native, environment }) => ({
      test: {
        name: target.name,
        include: FILES,
        env: environment,
        provide: { native, target: target.is },
        // An emulated processor takes some twenty times as long.
        testTimeout: 600_000,
        hookTimeout: 600_000,
      },
    })),
  },
}));

import { configDefaults, defineConfig } from 'vitest/config';
import { nativeEnvironment } from './src/engine/contract/native.ts';

export default defineConfig({
  // Vite would take graphql's ES build for our code, while node gives its libraries the other one; it bears no twins.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts'],
    // These run with kernels for other processors: `npm run test:portable`.
    exclude: [...configDefaults.exclude, 'test/portable/**'],
    globalSetup: ['test/helpers/globalSetup.ts', 'test/helpers/nativeSetup.ts', 'test/helpers/pageSetup.ts'],
    // Test files load TensorFlow into their own process; it shall run as it does in an engine child.
    env: nativeEnvironment({ available: false, reason: 'not built yet' }, process.env),
    pool: 'forks',
    maxWorkers: 2,
    // Upper bounds for a busy machine; nothing waits for a clock.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    reporters: ['default', './test/helpers/countReporter.ts'],
  },
});

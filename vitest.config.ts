import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/globalSetup.ts', 'test/helpers/nativeSetup.ts'],
    // TensorFlow tells its life story otherwise.
    env: { TF_CPP_MIN_LOG_LEVEL: '2' },
    pool: 'forks',
    maxWorkers: 2,
    // Upper bounds for a busy machine; nothing waits for a clock.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    reporters: ['default', './test/helpers/countReporter.ts'],
  },
});

import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/** Ends the output with one line, `N passed, N failed`, for whoever reads only that. */
export default class CountReporter implements Reporter {
  private summary: string | null = null;

  constructor() {
    // At exit, so that nothing that the teardown says comes after it.
    process.on('exit', () => {
      if (this.summary !== null) process.stdout.write(`${this.summary}\n`);
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    for (const module of modules) {
      const states = [...module.children.allTests()].map((test) => test.result().state);
      passed += states.filter((state) => state === 'passed').length;
      const failures = states.filter((state) => state === 'failed').length;
      // A file that fails outside its tests (on import, in a hook) counts as one failure.
      failed += failures === 0 && module.state() === 'failed' ? 1 : failures;
    }
    this.summary = `${passed} passed, ${failed} failed`;
  }
}

/** One TensorFlow session: a graph whose variables live in it from load to `dispose`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeBackend, typeNumber } from '../native/rawOps.ts';
import { dtypeOf, plainArray } from './arrays.ts';
import type { Output } from './graph.ts';
import type { ArrayValue } from './stepper.ts';

export class Session {
  readonly #id: number;

  /** @param savedModel Bytes of a `saved_model.pb`. @throws Error in TensorFlow's words when the graph is malformed. */
  constructor(savedModel: Uint8Array) {
    // A real directory: TensorFlow's in-memory file system appends to a file written twice and never frees one.
    const directory = mkdtempSync(join(tmpdir(), 'alignsae-step-'));
    try {
      writeFileSync(join(directory, 'saved_model.pb'), savedModel);
      this.#id = nativeBackend().binding.loadSavedModel(directory, 'serve');
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /**
   * Runs what `fetches` need, with `feeds` for placeholders by name; returns copies, in the order of `fetches`.
   * Fed arrays are not copied: do not write to them before this returns.
   */
  run(feeds: Readonly<Record<string, ArrayValue>>, fetches: readonly Output[]): ArrayValue[] {
    const { binding } = nativeBackend();
    const ids: number[] = [];
    try {
      for (const value of Object.values(feeds))
        ids.push(binding.createTensor(value.shape, typeNumber(dtypeOf(value)), value.data));
      const inputs = Object.keys(feeds).map((name) => `${name}:0`);
      const outputs = fetches.map((name) => (name.includes(':') ? name : `${name}:0`));
      const results = binding.runSavedModel(this.#id, ids, inputs.join(), outputs.join());
      ids.push(...results.map((result) => result.id));
      return results.map((result) => plainArray(binding.tensorDataSync(result.id), result.shape));
    } finally {
      for (const id of ids) binding.deleteTensor(id);
    }
  }

  dispose(): void {
    nativeBackend().binding.deleteSavedModel(this.#id);
  }
}

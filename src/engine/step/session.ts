/** One TensorFlow session: a graph whose variables live in it from load to `dispose`. */
import { dispose, scalar, tidy } from '@tensorflow/tfjs-core';
import { nativeBackend, rawOps, typeNumber } from '../native/rawOps.ts';
import { dtypeOf, plainArray } from './arrays.ts';
import type { Output } from './graph.ts';
import type { ArrayValue } from './stepper.ts';

/** A directory of TensorFlow's in-memory file system, which exists for one load at a time. */
const DIRECTORY = 'ram://alignsae-step';

export class Session {
  readonly #id: number;

  /** @param savedModel Bytes of a `saved_model.pb`. @throws Error in TensorFlow's words when the graph is malformed. */
  constructor(savedModel: Uint8Array) {
    writeFile(savedModel);
    try {
      this.#id = nativeBackend().binding.loadSavedModel(DIRECTORY, 'serve');
    } finally {
      // The file system frees a file's memory only when the file is written anew.
      writeFile(new Uint8Array());
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

function writeFile(content: Uint8Array): void {
  tidy(() => {
    const path = scalar(`${DIRECTORY}/saved_model.pb`, 'string');
    dispose(rawOps('WriteFile', [], [path, scalar(content, 'string')], 0));
  });
}

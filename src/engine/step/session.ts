/** One TensorFlow session: a graph whose variables live in it from load to `dispose`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArrayValue } from '../contract/arrays.ts';
import { nativeBackend, typeNumber } from '../native/rawOps.ts';
import { dtypeOf, plainArray } from './arrays.ts';
import type { Output } from './graph.ts';

/** A tensor on the native side, owned by whoever holds it. */
export interface NativeTensor {
  id: number;
  shape: readonly number[];
}

/** What a placeholder can be given. */
export type Feed = ArrayValue | NativeTensor;

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

  /** Runs what `fetches` need, with `feeds` for placeholders by name; returns copies, in the order of `fetches`. */
  run(feeds: Readonly<Record<string, Feed>>, fetches: readonly Output[]): ArrayValue[] {
    const results = this.fetch(feeds, fetches);
    try {
      const { binding } = nativeBackend();
      return results.map(({ id, shape }) => plainArray(binding.tensorDataSync(id), shape));
    } finally {
      release(results);
    }
  }

  /** Like `run`, but leaves the results on the native side; they may share a variable's memory until `release`. */
  fetch(feeds: Readonly<Record<string, Feed>>, fetches: readonly Output[]): NativeTensor[] {
    const { binding } = nativeBackend();
    const made: NativeTensor[] = [];
    try {
      const ids = Object.values(feeds).map((feed) => {
        if ('id' in feed) return feed.id;
        // Not a copy: TensorFlow reads the array's memory, and is done with it when this returns.
        const id = binding.createTensor(feed.shape, typeNumber(dtypeOf(feed)), feed.data);
        made.push({ id, shape: feed.shape });
        return id;
      });
      const inputs = Object.keys(feeds).map((name) => `${name}:0`);
      const outputs = fetches.map((name) => (name.includes(':') ? name : `${name}:0`));
      return binding.runSavedModel(this.#id, ids, inputs.join(), outputs.join());
    } finally {
      release(made);
    }
  }

  dispose(): void {
    nativeBackend().binding.deleteSavedModel(this.#id);
  }
}

/** Frees what `Session.fetch` returned. */
export function release(tensors: readonly NativeTensor[]): void {
  for (const { id } of tensors) nativeBackend().binding.deleteTensor(id);
}

/** Activations that several studies read: each sequence goes through the model once, for all layers, whoever asks next. */
import { captureLayers } from '../../src/engine/align/capture.ts';
import type { Reading } from '../../src/engine/align/silent.ts';
import { joinRows } from '../../src/engine/rows.ts';

/** By layer, rows `[positions, dModel]` of one sequence. */
type Rows = readonly Float32Array[];

export class Readings {
  readonly #layers: readonly number[];
  readonly #known = new Map<string, Rows>();

  constructor(layers: readonly number[]) {
    this.#layers = [...new Set(layers)].sort((a, b) => a - b);
  }

  /** Raw activations `[n, dModel]` of the layer, sequence by sequence. */
  async read({ reader, sequences, positions }: Reading, layer: number): Promise<Float32Array> {
    const keys = sequences.map((tokens, i) =>
      [reader.prompting ? 'prompted' : 'alone', tokens.join(), positions[i]!.join()].join(' '),
    );
    const places = new Map(keys.map((key, i) => [key, i]));
    const open = [...places].filter(([key]) => !this.#known.has(key)).map(([, i]) => i);
    // Sequences of one length leave no padding.
    open.sort((a, b) => sequences[a]!.length - sequences[b]!.length);
    const read = await captureLayers(
      reader,
      open.map((i) => sequences[i]!),
      { layers: this.#layers, positions: open.map((i) => positions[i]!) },
    );
    const { dModel } = reader.config;
    let row = 0;
    for (const i of open) {
      const end = row + positions[i]!.length;
      const rows = read.map((all) => all.slice(row * dModel, end * dModel));
      this.#known.set(keys[i]!, rows);
      row = end;
    }
    const at = this.#layers.indexOf(layer);
    return joinRows(keys.map((key) => this.#known.get(key)![at]!));
  }
}

/** Activations that were captured elsewhere: shards of one matrix, in `.safetensors` files beside one another. */
import { CAPTURED_TENSOR } from '../engine/contract/model.ts';
import { invalidInput } from '../errors.ts';
import { readFloats, type StoredTensor, safetensorsTensor } from './huggingFace/tensors.ts';
import { type ByteSource, encodeHeader, readHeader } from './safetensors.ts';

export interface Activations {
  rows: number;
  dModel: number;
  /** Of the file below. */
  bytes: number;
  /** A `.safetensors` file of the whole matrix as F32, in pieces. */
  chunks(): AsyncIterable<Uint8Array>;
}

/**
 * Opens the shards in the order given; headers are read, values are not.
 * @throws {AppError} INVALID_INPUT naming the shard that is not one matrix, or not as wide as the first; from `chunks`,
 * one with a value that is not finite.
 */
export async function openActivations(
  shards: readonly { name: string; source: ByteSource }[],
): Promise<Activations> {
  const tensors: StoredTensor[] = [];
  for (const shard of shards) tensors.push(await openShard(shard));
  const first = tensors[0]!;
  const dModel = first.shape[1]!;
  for (const { label, shape } of tensors)
    if (shape[1] !== dModel)
      throw invalidInput(
        [label],
        `${label} has activations of width ${shape[1]}, ${first.label} of width ${dModel}; all shards must have one width`,
      );
  const rows = tensors.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const header = encodeHeader({ [CAPTURED_TENSOR]: { dtype: 'F32', shape: [rows, dModel] } }, {});
  return {
    ...{ rows, dModel, bytes: header.byteLength + 4 * rows * dModel },
    async *chunks() {
      yield header;
      for (const tensor of tensors) yield* readFloats(tensor, 'activations must be finite');
    },
  };
}

async function openShard({ name, source }: { name: string; source: ByteSource }): Promise<StoredTensor> {
  const entries = Object.entries((await readHeader(source, name)).tensors);
  const [found] = entries;
  if (!found || entries.length > 1) {
    const names = entries.slice(0, 5).map(([tensor]) => tensor);
    throw invalidInput(
      [name],
      `${name} must have one tensor, the activations [prompts, dModel]; it has ${entries.length}${names.length > 0 ? ` (${names.join(', ')}${entries.length > 5 ? ' …' : ''})` : ''}`,
    );
  }
  const [tensorName, entry] = found;
  const tensor = safetensorsTensor(entry, { name: tensorName, label: name, source });
  if (entry.shape.length !== 2 || entry.shape.includes(0))
    throw invalidInput(
      [name],
      `${name}: ${tensorName} has shape [${entry.shape}]; activations have [prompts, dModel]`,
    );
  if (tensor.refusal) throw invalidInput([name], `${name}: ${tensorName} ${tensor.refusal}`);
  return tensor;
}

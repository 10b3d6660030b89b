/** Whole-answer accuracy of a model that lives in a training step. */
import type { Stepper } from '../step/stepper.ts';
import { bothRooms, fits, packBatch, type Room, roomOf, type Sequence } from './packing.ts';

/**
 * Share of sequences whose every target, the end token included, is the likeliest token, or every one of another that
 * counts as well. That is exactly the share whose greedy continuation equals the whole answer, for greedy decoding
 * follows the answer as long as it is right; one forward pass a batch measures it. Batches are of one shape, `room`,
 * which must have place for any of the sequences.
 */
export async function measureAccuracy(
  stepper: Stepper,
  sequences: readonly Sequence[],
  room: Room,
  breathe: () => Promise<void>,
): Promise<number> {
  const accepted = sequences.flatMap((sequence, question) =>
    [sequence, ...(sequence.others ?? [])].map((one) => ({ ...one, question })),
  );
  const right = new Set<number>();
  for (const rows of fillings(accepted, room)) {
    const { targets: _, mask: __, ...batch } = packBatch(rows, room);
    const { best } = await stepper.evaluate('predict', batch);
    let place = 0;
    for (const { tokens, from, question } of rows) {
      const expected = tokens.slice(from);
      if (expected.every((token, i) => best!.data[place + i] === token)) right.add(question);
      place += expected.length;
    }
    await breathe();
  }
  return right.size / sequences.length;
}

/** The sequences in their order, as many at once as there is place for. */
function* fillings<S extends Sequence>(sequences: readonly S[], room: Room): Generator<S[]> {
  let rows: S[] = [];
  let used = roomOf([]);
  for (const sequence of sequences) {
    const needed = roomOf([sequence]);
    used = bothRooms(used, needed);
    if (!fits(used, room)) {
      yield rows;
      rows = [];
      used = needed;
    }
    rows.push(sequence);
  }
  if (rows.length > 0) yield rows;
}

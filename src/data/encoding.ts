/** Text files as people have them: UTF-8, or UTF-16 as Windows writes it, and not what only looks like a text file. */
import { AppError } from '../errors.ts';
import { nameLookalike, TELLING_BYTES } from '../formats/lookalikes.ts';

/** How text begins in other encodings; `decode` is null where it is not read. */
const ENCODINGS: readonly { begin: readonly number[]; name: string; decode: string | null }[] = [
  // Before UTF-16, whose mark the first of these begins with.
  { begin: [0xff, 0xfe, 0, 0], name: 'UTF-32', decode: null },
  { begin: [0, 0, 0xfe, 0xff], name: 'UTF-32', decode: null },
  { begin: [0xff, 0xfe], name: 'UTF-16', decode: 'utf-16le' },
  { begin: [0xfe, 0xff], name: 'UTF-16', decode: 'utf-16be' },
  // Without a mark: a brace or a bracket, and a zero.
  ...[0x7b, 0x5b].flatMap((mark) => [
    { begin: [mark, 0], name: 'UTF-16', decode: 'utf-16le' },
    { begin: [0, mark], name: 'UTF-16', decode: 'utf-16be' },
  ]),
];

/**
 * The bytes of a text file as UTF-8: as they come, or recoded from UTF-16.
 * @throws AppError INVALID_INPUT in one sentence when the file is in another encoding or no text at all.
 */
export async function* toUtf8(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const head = await readHead(chunks);
  const found = ENCODINGS.find(({ begin }) => begin.every((byte, i) => head[i] === byte));
  const other = found?.decode === null ? `it is ${found.name} text` : nameLookalike(head);
  if (other) throw unreadable(`${other}; accepted is text in UTF-8 or UTF-16`);
  if (found?.decode) yield* recode(found.decode, head, chunks);
  else {
    yield head;
    yield* chunks;
  }
}

/** As many chunks as tell what the file is, joined. */
async function readHead(chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let length = 0; length < TELLING_BYTES; ) {
    const { value, done } = await chunks.next();
    if (done) break;
    parts.push(value);
    length += value.length;
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

async function* recode(
  encoding: string,
  head: Uint8Array,
  chunks: AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(encoding, { fatal: true });
  const decode = (chunk?: Uint8Array) => {
    try {
      return Buffer.from(decoder.decode(chunk, { stream: chunk !== undefined }));
    } catch (cause) {
      throw unreadable('it begins as UTF-16 text, but not all of it is; accepted is UTF-8 or UTF-16', cause);
    }
  };
  yield decode(head);
  for await (const chunk of chunks) yield decode(chunk);
  yield decode();
}

function unreadable(why: string, cause?: unknown): AppError {
  return new AppError('INVALID_INPUT', `The file cannot be read as text: ${why}.`, { cause });
}

/** Text messages as WebSocket frames (RFC 6455, 5.2), several in one piece, so that they cost one system call. */

const FINAL_TEXT = 0x81;

/** One frame for each text, unmasked, as a server sends them. */
export function textFrames(texts: readonly string[]): Buffer {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  const frames = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + headLength(length) + length, 0));
  let at = 0;
  for (const [i, text] of texts.entries()) {
    at = writeHead(frames, at, lengths[i]!);
    at += frames.write(text, at);
  }
  return frames;
}

function headLength(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

function writeHead(frames: Buffer, at: number, length: number): number {
  frames[at] = FINAL_TEXT;
  if (length < 126) return frames.writeUInt8(length, at + 1);
  if (length < 65_536) return frames.writeUInt16BE(length, frames.writeUInt8(126, at + 1));
  return frames.writeBigUInt64BE(BigInt(length), frames.writeUInt8(127, at + 1));
}

/** Opaque cursors: some text, which places in a list or in a stream are written as, in base64url. */

/**
 * Longer than any that is given out: those of `runsChanged` name the transactions that were open, of which there may be
 * as many as connections to the database. Node takes no more in a request's headers, of which `Last-Event-ID` is one.
 */
const MAX_LENGTH = 16_384;

export function sealCursor(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** The text in a cursor; null for anything that `sealCursor` did not make. */
export function openCursor(cursor: string): string | null {
  if (cursor.length > MAX_LENGTH) return null;
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  return sealCursor(text) === cursor ? text : null;
}

/** Ends what a key has open when the key is revoked, on whichever replica that happened. */
import { AppError } from '../errors.ts';
import type { Viewer } from '../schema/context.ts';

export class KeyWatch {
  readonly #open = new Map<string, Set<(reason: AppError) => void>>();
  /** Told of since the start: a request may have been admitted a moment before. */
  readonly #revoked = new Set<string>();

  /** Calls `cut` when the viewer's key is no longer valid, at once if it is not; the returned function forgets it. */
  watch({ keyId }: Viewer, cut: (reason: AppError) => void): () => void {
    if (keyId === undefined) return () => undefined;
    if (this.#revoked.has(keyId)) queueMicrotask(() => cut(revoked()));
    const cuts = this.#open.get(keyId) ?? new Set();
    this.#open.set(keyId, cuts.add(cut));
    return () => {
      if (cuts.delete(cut) && cuts.size === 0) this.#open.delete(keyId);
    };
  }

  /** Keys that hold something open. */
  get keyIds(): string[] {
    return [...this.#open.keys()];
  }

  onRevoked(keyId: string): void {
    this.#revoked.add(keyId);
    const cuts = this.#open.get(keyId);
    this.#open.delete(keyId);
    for (const cut of cuts ?? []) cut(revoked());
  }

  /** A key of the environment is valid again when a server starts with it. */
  onRestored(keyId: string): void {
    this.#revoked.delete(keyId);
  }
}

function revoked(): AppError {
  return new AppError('UNAUTHENTICATED', 'This API key was revoked.');
}

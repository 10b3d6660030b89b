/** Bounds how many subscriptions one client holds at once, over all transports together. */
import { GraphQLError } from 'graphql';

export class SubscriptionLimit {
  readonly #open = new Map<string, number>();

  constructor(private readonly limit: number) {}

  /** Takes a place for the client; the returned function gives it back. @throws GraphQLError LIMIT_EXCEEDED */
  take(clientId: string): () => void {
    const count = this.#open.get(clientId) ?? 0;
    if (count >= this.limit) {
      const message = `A client may hold ${this.limit} subscriptions at once (MAX_SUBSCRIPTIONS): close one first.`;
      throw new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED' } });
    }
    this.#open.set(clientId, count + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = this.#open.get(clientId)! - 1;
      if (left > 0) this.#open.set(clientId, left);
      else this.#open.delete(clientId);
    };
  }
}

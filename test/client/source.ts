/** A server of numbered items that cuts, refuses and goes away when it is told to. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { buildSchema, GraphQLError } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

export const ITEMS = 'subscription ($after: String) { items(after: $after) { cursor number } }';

export interface Numbered {
  items: { cursor: string; number: number };
}

export interface Source {
  url: string;
  /** Where each subscription began. */
  begins: number[];
  /** How many subscriptions were left before their end. */
  left: number;
  close(): Promise<void>;
}

/** What a source does at the item of this number, the first time that it gets there. */
export type Turn = (socket: { close(code: number): void; terminate(): void }) => GraphQLError | undefined;

export const refusal = (code: string) => new GraphQLError(`because of ${code}`, { extensions: { code } });

/** Gives the numbers below `count`; at those that `turns` names something happens. */
export async function startSource(count: number, turns: Record<number, Turn> = {}): Promise<Source> {
  const state = { begins: [] as number[], left: 0 };
  const open = new Map(Object.entries(turns));
  const take = (number: number) => {
    const turn = open.get(String(number));
    open.delete(String(number));
    return turn;
  };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const schema = buildSchema(`
    type Query { none: Int }
    type Item { cursor: String! number: Int! }
    type Subscription { items(after: String): Item }
  `);
  useServer<Record<string, unknown>, { socket: Parameters<Turn>[0] }>(
    {
      schema,
      context: ({ extra }) => ({ socket: extra.socket }),
      roots: {
        subscription: {
          async *items({ after }: { after?: string }, { socket }: { socket: Parameters<Turn>[0] }) {
            const begin = after === undefined ? 0 : Number(after) + 1;
            state.begins.push(begin);
            let number = begin;
            try {
              for (; number < count; number++) {
                const turn = take(number);
                const error = turn?.(socket);
                if (error) throw error;
                if (turn) return;
                // Hears what is said to it meanwhile.
                if (number % 500 === 0) await new Promise(setImmediate);
                yield { items: { cursor: String(number), number } };
              }
            } finally {
              if (number < count) state.left++;
            }
          },
        },
      },
    },
    server,
  );
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const client of server.clients) client.terminate();
      server.close();
      await once(server, 'close');
    },
  });
}

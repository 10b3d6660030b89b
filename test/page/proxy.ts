/** Stands between client and server, and cuts what is open when it is told to, or in the middle of what is sent. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  url: string;
  /** Cuts every connection; new ones are let through. */
  cut(): void;
  /** How many of `cutAfter` are still to come. */
  readonly cutsLeft: number;
  close(): Promise<void>;
}

/** Each of `cutAfter` cuts once, the first connection that has brought so many bytes from the server. */
export async function startProxy(target: string, cutAfter: readonly number[] = []): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  const left = [...cutAfter];
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => open.delete(socket));
    }
    client.pipe(upstream);
    passOn(upstream, client, left);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroySoon());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    get cutsLeft() {
      return left.length;
    },
    async close() {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}

function passOn(upstream: Socket, client: Socket, left: number[]): void {
  let passed = 0;
  upstream.on('data', (chunk) => {
    const limit = left[0];
    if (limit !== undefined && passed + chunk.length > limit) {
      left.shift();
      client.write(chunk.subarray(0, limit - passed));
      upstream.destroy();
      return;
    }
    passed += chunk.length;
    if (!client.write(chunk)) {
      upstream.pause();
      client.once('drain', () => upstream.resume());
    }
  });
  upstream.on('end', () => client.end());
}

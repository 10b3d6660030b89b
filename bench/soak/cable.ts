/** A connection between machines that can be cut: a proxy before Postgres or the bucket, one for each process. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net';

export interface Cable {
  port: number;
  /** What is open hangs without a word, as when a cable is pulled, and nothing new comes through. */
  cut(): void;
  /** What hung breaks off, for the machines have given it up by then; new connections pass. */
  mend(): void;
  close(): void;
}

export async function layCable(target: NetConnectOpts): Promise<Cable> {
  const open = new Set<Socket>();
  let isCut = false;
  const server = createServer({ pauseOnConnect: true }, (near) => {
    const far = connect(target);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on('error', () => other.destroy());
      socket.once('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    if (isCut) return;
    near.pipe(far).pipe(near);
    near.resume();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const breakOff = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      for (const socket of open) socket.unpipe().pause();
    },
    mend() {
      isCut = false;
      breakOff();
    },
    close() {
      server.close();
      breakOff();
    },
  };
}

import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Connections } from '../../src/server/connections.ts';

let server: Server;
let handle: (response: ServerResponse) => void;
let begun: number;

beforeEach(async () => {
  begun = 0;
  server = createServer(async (request, response) => {
    await connections.inTurn(request, response);
    begun++;
    handle(response);
  });
  const connections = new Connections(server, { stallMs: 1000, lookMs: 20 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** More than the kernel holds between the two. */
const LARGE = Buffer.alloc(32 * 1024 ** 2);

function openDeaf() {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  return socket.pause();
}

describe('a client that does not read', () => {
  it('is cut, even if it goes on sending', async () => {
    const cut = new Promise<void>((resolve) => {
      handle = (response) => {
        response.once('close', resolve);
        response.end(LARGE);
      };
    });
    const socket = openDeaf();
    socket.write(REQUEST);
    const chatter = setInterval(() => socket.write('\r\n'), 20);
    await cut;
    clearInterval(chatter);
    socket.destroy();
  });

  it('does not make the server work ahead for it', async () => {
    const cut = new Promise<void>((resolve) => {
      handle = (response) => {
        response.once('close', resolve);
        response.end(LARGE);
      };
    });
    const socket = openDeaf();
    socket.write(REQUEST.repeat(100));
    await cut;
    expect(begun).toBe(1);
    socket.destroy();
  });

  it('is told from one that reads slowly, or waits for its answer', async () => {
    let finished = false;
    handle = (response) => {
      response.once('finish', () => {
        finished = true;
      });
      // Longer than a stall, with nothing to be read meanwhile.
      setTimeout(() => response.end(LARGE), 1500);
    };
    const socket = openDeaf();
    socket.write(REQUEST);
    let read = 0;
    // A little now and then: all in all for about as long as a stall.
    const reading = setInterval(() => {
      for (let i = 0; i < 8; i++) read += (socket.read() as Buffer | null)?.length ?? 0;
    }, 10);
    while (read < LARGE.length) {
      expect(socket.destroyed).toBe(false);
      await new Promise((resolve) => setImmediate(resolve));
    }
    clearInterval(reading);
    expect(finished).toBe(true);
    socket.destroy();
  });
});

/** A connection pooler's front door, as pgbouncer's by default: startup parameters that it does not track are refused. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const TRACKED = new Set([
  ...['user', 'database', 'client_encoding', 'datestyle', 'timezone', 'standard_conforming_strings'],
  'application_name',
]);
const SSL_REQUEST = 80_877_103;

export interface Pooler {
  /** The same database, through the pooler. */
  connectionString: string;
  close(): Promise<void>;
}

/**
 * Starts one before the Postgres of `connectionString`, which listens on a socket and asks for no password. In
 * `session` mode a client has a server connection until it leaves; in `transaction` mode all share one, which changes
 * hands between transactions.
 */
export async function startPooler(
  connectionString: string,
  mode: 'session' | 'transaction',
): Promise<Pooler> {
  const url = new URL(connectionString);
  const socketPath = `${decodeURIComponent(url.hostname)}/.s.PGSQL.${url.port || 5432}`;
  const open = new Set<Socket>();
  const track = (socket: Socket) => {
    open.add(socket);
    return socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket));
  };
  const connectServer = () => track(connect(socketPath));
  const shared = mode === 'transaction' ? await openShared(connectServer, url) : null;
  const server = createServer(async (client) => {
    const startup = await readStartup(track(client));
    if (!startup) return;
    const refused = namesOf(startup).find((name) => !TRACKED.has(name.toLowerCase()));
    if (refused) client.end(errorResponse(`unsupported startup parameter: ${refused}`));
    else if (shared) shared(client);
    else {
      const own = connectServer();
      own.write(startup);
      client.pipe(own).pipe(client);
      client.on('close', () => own.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    connectionString: `postgresql://${url.username}@127.0.0.1:${port}${url.pathname}`,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** The startup packet, once the client has been told that there is no TLS; null if it left before. */
function readStartup(client: Socket): Promise<Buffer | null> {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve) => {
    client.on('close', () => resolve(null));
    client.on('data', function onData(chunk) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 8 || bytes.length < bytes.readUInt32BE(0)) return;
      if (bytes.readUInt32BE(4) === SSL_REQUEST) {
        bytes = bytes.subarray(8);
        client.write('N');
        return;
      }
      client.off('data', onData).pause();
      resolve(bytes);
    });
  });
}

function namesOf(startup: Buffer): string[] {
  const fields = startup.subarray(8).toString('latin1').split('\0');
  return fields.filter((field, i) => i % 2 === 0 && field !== '');
}

function errorResponse(message: string): Buffer {
  return packet('E', Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`));
}

function packet(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const READY = packet('Z', Buffer.from('I'));
const WELCOME = Buffer.concat([packet('R', Buffer.alloc(4)), READY]);

/** One server connection; returns what takes a client on. A client's message waits while another has it. */
async function openShared(connectServer: () => Socket, url: URL): Promise<(client: Socket) => void> {
  const server = connectServer();
  const waiting: { client: Socket; bytes: Buffer }[] = [];
  let owner: Socket | null = null;
  let welcomed = () => {};
  const ready = new Promise<void>((resolve) => {
    welcomed = resolve;
  });
  const next = () => {
    const turn = owner ? null : waiting.shift();
    if (!turn) return;
    owner = turn.client;
    server.write(turn.bytes);
  };
  let unread = Buffer.alloc(0);
  server.on('data', (chunk) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 5 && unread.length > unread.readUInt32BE(1)) {
      const message = unread.subarray(0, 1 + unread.readUInt32BE(1));
      unread = unread.subarray(message.length);
      owner?.write(message);
      if (!message.equals(READY)) continue;
      welcomed();
      owner = null;
      next();
    }
  });
  const fields = `user\0${url.username}\0database\0${url.pathname.slice(1)}\0\0`;
  const startup = Buffer.concat([Buffer.alloc(8), Buffer.from(fields)]);
  startup.writeUInt32BE(startup.length, 0);
  startup.writeUInt32BE(196_608, 4);
  server.write(startup);
  await ready;
  return (client) => {
    client.write(WELCOME);
    client.on('data', (bytes) => {
      // Farewells are not the server's business.
      if (bytes[0] === 0x58) return client.end();
      if (owner === client) return server.write(bytes);
      waiting.push({ client, bytes });
      next();
    });
    client.resume();
  };
}

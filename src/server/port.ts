/** The port to listen on. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '../errors.ts';

/** Where to listen, as configured. */
export interface Address {
  host: string;
  port: number;
}

/** Listens; resolves with the address, such as `http://127.0.0.1:4000`. @throws AppError UNAVAILABLE when it cannot be had. */
export function listenOn(server: Server, { host, port }: Address): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, { host, port })));
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo;
      const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
      resolve(`http://${name}:${address.port}`);
    });
  });
}

/** Asks before anything is opened that would have to be closed again. @throws AppError UNAVAILABLE when it cannot be had. */
export async function checkPort(address: Address): Promise<void> {
  const server = createServer();
  await listenOn(server, address);
  await new Promise((resolve) => server.close(resolve));
}

function explain(error: NodeJS.ErrnoException, { host, port }: Address): AppError {
  if (error.code !== 'EADDRINUSE')
    return new AppError(
      'UNAVAILABLE',
      `Cannot listen on ${host}:${port}: ${error.message}. Set HOST and PORT.`,
    );
  const other = port < 65_535 ? port + 1 : port - 1;
  return new AppError(
    'UNAVAILABLE',
    `Port ${port} of ${host} is taken, perhaps by a server that is running already (its page would be http://${host}:${port}/app): end that process, or choose another port, such as PORT=${other}.`,
  );
}

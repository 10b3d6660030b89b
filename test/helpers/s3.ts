/**
 * A real S3 server for tests, moto's: it knows multipart uploads with their lists and conditional writes, and installs
 * from PyPI. It is put into the cache once; where that cannot be done its tests are skipped, and say so.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access, mkdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readConfig } from '../../src/config.ts';

const PACKAGES = ['moto==5.2.5', 'flask==3.1.3', 'flask-cors==6.0.5', 'PyYAML', 'py-partiql-parser'];
const run = promisify(execFile);

const SERVER = `
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
`;

/** The Python that has moto; null, saying why, where there is none. */
export async function findMoto(): Promise<string | null> {
  const directory = join(readConfig().cacheDir, `test-${PACKAGES[0]!.replace('==', '-')}`);
  const python = join(directory, 'bin', 'python');
  try {
    await access(join(directory, 'ready'));
    return python;
  } catch {}
  try {
    await rm(directory, { recursive: true, force: true });
    await run('python3', ['-m', 'venv', directory]);
    await run(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { timeout: 300_000 });
    await mkdir(join(directory, 'ready'));
    return python;
  } catch (error) {
    console.log(`tests of S3 are skipped, for moto could not be installed: ${(error as Error).message}`);
    return null;
  }
}

/** What is to happen to a request. */
export type Fault =
  /** Answered with 503. */
  | 'BUSY'
  /** The connection ends amid the answer, or the request where that has a body. */
  | 'CUT'
  /** A byte of the request or the answer is another. */
  | 'CORRUPT'
  | null;

export interface S3Server {
  /** Through the proxy that makes faults. */
  endpoint: string;
  /** Asked of every request; null leaves it alone. */
  fault: (request: IncomingMessage) => Fault;
  /** `PUT /bucket/key?partNumber=1`, of all requests so far. */
  requests: string[];
  close(): Promise<void>;
}

/** Starts a server with an empty bucket `test`, and a proxy before it, which listens at `host`. */
export async function startS3(python: string, host = '127.0.0.1'): Promise<S3Server> {
  const child = spawn(python, ['-c', SERVER], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // Parts may be small, so that tests are cheap.
    env: { ...process.env, S3_UPLOAD_PART_MIN_SIZE: '1024' },
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`moto ended with ${code}`)));
    child.stdout.once('data', (data) => resolve(Number(String(data))));
  });
  const proxy = createServer((incoming, response) => void forward(incoming, response));
  await new Promise<void>((resolve) => proxy.listen(0, host, resolve));
  const s3: S3Server = {
    endpoint: `http://${host}:${(proxy.address() as AddressInfo).port}`,
    fault: () => null,
    requests: [],
    close: () => close(child, proxy),
  };
  const forward = async (incoming: IncomingMessage, response: ServerResponse) => {
    s3.requests.push(`${incoming.method} ${incoming.url}`);
    const fault = s3.fault(incoming);
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    if (fault === 'BUSY') {
      response.writeHead(503, { 'content-type': 'application/xml' });
      return response.end(
        '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
      );
    }
    if (fault === 'CUT' && body.length > 0) return void incoming.socket.destroy();
    const isCorrupt = fault === 'CORRUPT';
    if (isCorrupt && body.length > 0) body[body.length >> 1]! ^= 1;
    // What was damaged behind the client's back carries no hash of its own.
    const headers = { ...incoming.headers, ...(isCorrupt && { 'content-md5': undefined }) };
    const forwarded = request(
      {
        port,
        host: '127.0.0.1',
        method: incoming.method,
        path: incoming.url,
        headers: JSON.parse(JSON.stringify(headers)),
      },
      async (answer) => {
        const parts: Buffer[] = [];
        for await (const piece of answer) parts.push(piece as Buffer);
        const whole = Buffer.concat(parts);
        response.writeHead(answer.statusCode!, answer.headers);
        if (fault === 'CUT') {
          response.write(whole.subarray(0, whole.length >> 1));
          return setImmediate(() => response.destroy());
        }
        if (isCorrupt && body.length === 0 && whole.length > 0) whole[whole.length >> 1]! ^= 1;
        response.end(whole);
      },
    );
    forwarded.end(body);
  };
  await fetch(`${s3.endpoint}/test`, { method: 'PUT' });
  s3.requests = [];
  return s3;
}

async function close(child: ChildProcess, proxy: Server): Promise<void> {
  proxy.closeAllConnections();
  proxy.close();
  child.removeAllListeners('exit');
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.stdin!.end();
  await exited;
}

import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Runs `work` while no other call for the same directory does, in this process or another on this machine. The lock
 * is a socket in Linux's abstract namespace: the kernel takes it back when its owner ends, however that ends, and
 * who waits is told by the closing of a connection.
 * @param onWait Called once if somebody else holds the lock.
 */
export async function withLock<T>(directory: string, onWait: () => void, work: () => Promise<T>): Promise<T> {
  const path = `\0alignsae-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`;
  let lock = await tryLock(path);
  if (!lock) onWait();
  while (!lock) {
    await untilReleased(path);
    lock = await tryLock(path);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

interface Lock {
  release(): void;
}

function tryLock(path: string): Promise<Lock | null> {
  const waiting = new Set<Socket>();
  const server: Server = createServer((socket) => {
    waiting.add(socket);
    socket.on('close', () => waiting.delete(socket)).on('error', () => undefined);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen({ path }, () => resolve({ release: () => release(server, waiting) }));
  });
}

function release(server: Server, waiting: ReadonlySet<Socket>): void {
  server.close();
  for (const socket of waiting) socket.destroy();
}

function untilReleased(path: string): Promise<void> {
  return new Promise((resolve) => {
    // A refused connection means that the owner has just gone.
    const socket = connect({ path }).on('error', () => undefined);
    socket.resume().on('close', () => resolve());
  });
}

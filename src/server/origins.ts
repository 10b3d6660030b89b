/**
 * Browsers of this machine can be made to call it by any page they show (cross-site requests, DNS rebinding).
 * So an `Origin` must be our own or an allowed one, and on loopback the `Host` must be a loopback name.
 */
import type { IncomingMessage } from 'node:http';
import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]', '::1']);

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host) || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Null when the request may go on; else what is wrong with it, for a 403. */
export function refuseOrigin(
  request: IncomingMessage,
  options: { boundToLoopback: boolean; corsOrigins: readonly string[] },
): string | null {
  const host = request.headers.host ?? '';
  const name = host.replace(/:\d+$/, '');
  if (options.boundToLoopback && !isLoopback(name))
    return `Host "${host}" is not this machine: the server listens on loopback only; set HOST to serve other names.`;
  const { origin } = request.headers;
  if (origin === undefined || options.corsOrigins.includes('*') || options.corsOrigins.includes(origin))
    return null;
  if (origin === `http://${host}` || origin === `https://${host}`) return null;
  return `Origin "${origin}" may not call this server: add it to CORS_ORIGINS.`;
}

/** Origins that the log has named already. */
const MAX_REMEMBERED = 100;

/** `refuseOrigin` as configured; tells the log of every new origin that it refuses, with the remedy. */
export function createOriginCheck(
  { host, corsOrigins }: Pick<Config, 'host' | 'corsOrigins'>,
  log: Logger,
): (request: IncomingMessage) => string | null {
  const options = { boundToLoopback: isLoopback(host), corsOrigins };
  const told = new Set<string>();
  return (request) => {
    const refusal = refuseOrigin(request, options);
    if (refusal !== null && told.size < MAX_REMEMBERED && !told.has(refusal)) {
      told.add(refusal);
      log.warn({ reason: refusal }, 'a request was refused');
    }
    return refusal;
  };
}

/** Answers of the HTTP edge itself, in the shape of GraphQL's errors. */
import type { ServerResponse } from 'node:http';

export function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

export function failure(message: string, code: string): object {
  return { errors: [{ message, extensions: { code } }] };
}

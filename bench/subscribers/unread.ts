/** What clients cost that ask and do not read. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { appendMetrics } from '../../src/db/queries/events.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import type { BenchRuns } from './runs.ts';

interface Target {
  url: string;
  endpoint: string;
  residentMB(): Promise<number>;
}

/** Growth of the server's memory for each connection, garbage and all, and until when the last of them lived. */
interface Cost {
  grownMBEach: number;
  seconds: number;
}

export type Unread = Record<'webSocket' | 'answersOverHttp' | 'serverSentEvents', Cost>;

/** Longer than any of them may live. */
const LONGEST_MS = 150_000;
const CONNECTIONS = 20;
const OPERATIONS = 200;

/** Connections of each kind that ask for some 5 MB two hundred times each, or for a stream. */
export async function measureUnread(runs: BenchRuns, target: Target): Promise<Unread> {
  const run = await runs.start();
  const id = encodeGlobalId('ModelRun', run.id);
  const SERIES = 8;
  for (let step = 1; step <= 8000; step += 500) {
    const rows = Array.from({ length: 500 }, (_, i) => ({
      ...{ step: step + i, at: Date.now() },
      values: Object.fromEntries(Array.from({ length: SERIES }, (_, k) => [`metric-${k}`, Math.random()])),
    }));
    await appendMetrics(runs.db, run.claim, rows);
  }
  const answer = { query: CURVES, variables: { id } };
  return {
    webSocket: await watch(target, (onEnd) => askOverWebSocket(target, answer, onEnd)),
    answersOverHttp: await watch(target, (onEnd) => askOverHttp(target, answer, onEnd)),
    serverSentEvents: await watch(target, (onEnd) => listenOverHttp(target, id, onEnd)),
  };
}

const CURVES =
  'query ($id: ID!) { run(id: $id) { metrics(maxPoints: 8000) { name points { step value at } } } }';
/** Each event ten times over, so that the stream is more than the kernel holds. */
const EVENTS = `subscription ($id: ID!) { runEvents(id: $id) { cursor event { ... on MetricsLogged {
  ${Array.from({ length: 10 }, (_, i) => `m${i}: metrics { name value }`).join(' ')} } } } }`;

/** A connection that does not read hears of its end only when it writes. */
interface Deaf {
  poke(): void;
  leave(): void;
}

async function watch(target: Target, open: (onEnd: () => void) => Promise<Deaf>): Promise<Cost> {
  const before = await target.residentMB();
  const started = performance.now();
  let left = CONNECTIONS;
  const opening = Array.from({ length: CONNECTIONS }, () => {
    let isOpen = true;
    return open(() => {
      if (isOpen) left--;
      isOpen = false;
    });
  });
  const deaf = await Promise.all(opening);
  let most = before;
  while (left > 0 && performance.now() - started < LONGEST_MS) {
    for (const { poke } of deaf) poke();
    most = Math.max(most, await target.residentMB());
    await delay(250);
  }
  for (const { leave } of deaf) leave();
  return {
    grownMBEach: Math.round((most - before) / CONNECTIONS),
    seconds: Math.round((performance.now() - started) / 1000),
  };
}

async function askOverWebSocket({ endpoint }: Target, payload: object, onEnd: () => void): Promise<Deaf> {
  const ws = new WebSocket(endpoint.replace('http', 'ws'), 'graphql-transport-ws');
  await once(ws, 'open');
  ws.send(JSON.stringify({ type: 'connection_init' }));
  await once(ws, 'message');
  ws.pause();
  ws.on('error', onEnd).on('close', onEnd);
  for (let i = 0; i < OPERATIONS; i++) ws.send(JSON.stringify({ id: String(i), type: 'subscribe', payload }));
  return { poke: () => ws.send('{"type":"pong"}', (error) => error && onEnd()), leave: () => ws.terminate() };
}

async function askOverHttp({ url }: Target, body: object, onEnd: () => void): Promise<Deaf> {
  const socket = await openSocket(url, onEnd);
  for (let i = 0; i < OPERATIONS; i++) socket.write(request(body, 'application/json'));
  return { poke: () => socket.write('\r\n'), leave: () => socket.destroy() };
}

async function listenOverHttp({ url }: Target, id: string, onEnd: () => void): Promise<Deaf> {
  const socket = await openSocket(url, onEnd);
  socket.write(request({ query: EVENTS, variables: { id } }, 'text/event-stream'));
  return { poke: () => socket.write('\r\n'), leave: () => socket.destroy() };
}

async function openSocket(url: string, onEnd: () => void) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.pause();
  return socket.on('error', onEnd).on('close', onEnd);
}

function request(body: object, accept: string): string {
  const text = JSON.stringify(body);
  const head = [
    'POST /graphql HTTP/1.1',
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    `Accept: ${accept}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${text}`;
}

/** Subscribers in a process of their own, so that their work is not counted as the server's. */
import { WebSocket } from 'ws';

export interface Crowd {
  endpoint: string;
  runId: string;
  /** Subscribers that read, and others that stop reading once they are subscribed. */
  readers: number;
  deaf: number;
  /** Steps that each reader is to see, from 1. */
  steps: number;
}

export interface CrowdReport {
  messages: number;
  /** Steps that some reader did not see, or saw out of order. */
  missed: number;
  /** Milliseconds from the writing of an event to its message; by quantile. */
  latency: { p50: number; p99: number; max: number };
  /** From the first message to the last, in milliseconds. */
  elapsed: number;
}

const QUERY = `subscription ($id: ID!) { runEvents(id: $id) { cursor event { __typename ... on MetricsLogged { step metrics { name value } } } } }`;

const latencies: number[] = [];
let messages = 0;
let missed = 0;
let first = 0;
let last = 0;

process.once('message', (crowd: Crowd) => void run(crowd));

async function run(crowd: Crowd): Promise<void> {
  const open = await Promise.all([
    ...Array.from({ length: crowd.readers }, () => subscribe(crowd, false)),
    ...Array.from({ length: crowd.deaf }, () => subscribe(crowd, true)),
  ]);
  process.send!('subscribed');
  await Promise.all(open.slice(0, crowd.readers).map(({ done }) => done));
  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))]!;
  const report: CrowdReport = {
    ...{ messages, missed, elapsed: last - first },
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
  };
  process.send!(report, () => process.exit(0));
}

/** Resolves when subscribed; `done` when the last step was seen, or the socket has closed. */
function subscribe({ endpoint, runId, steps }: Crowd, isDeaf: boolean): Promise<{ done: Promise<void> }> {
  const ws = new WebSocket(endpoint.replace('http', 'ws'), 'graphql-transport-ws');
  const say = (message: object) => ws.send(JSON.stringify(message));
  ws.on('open', () => say({ type: 'connection_init' }));
  ws.on('error', () => undefined);
  return new Promise((resolve) => {
    let end: () => void = () => undefined;
    const done = new Promise<void>((settle) => {
      end = settle;
    });
    let expected = 1;
    ws.on('message', (data) => {
      const text = String(data);
      if (text.includes('"connection_ack"')) {
        return say({
          id: crypto.randomUUID(),
          type: 'subscribe',
          payload: { query: QUERY, variables: { id: runId } },
        });
      }
      // The run's status is the first event: the subscription stands.
      if (!text.includes('"MetricsLogged"')) {
        if (isDeaf) ws.pause();
        return resolve({ done });
      }
      const step = take(text);
      if (step !== expected) missed += Math.abs(step - expected);
      expected = step + 1;
      if (step === steps) {
        end();
        ws.close();
      }
    });
    ws.on('close', () => {
      if (!isDeaf) missed += steps + 1 - expected;
      end();
    });
  });
}

/** Counts a message; its step. Values are read without parsing the whole, which would be the client's cost. */
function take(text: string): number {
  messages++;
  last = Date.now();
  if (first === 0) first = last;
  const sent = Number(/"name":"sent","value":(\d+)/.exec(text)?.[1]);
  latencies.push(last - sent);
  return Number(/"step":(\d+)/.exec(text)?.[1]);
}

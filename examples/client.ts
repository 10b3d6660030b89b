/**
 * A client app in TypeScript: lists the alignment runs of a server, follows the newest live, and prints its slots' bindings.
 * `node --import tsx examples/client.ts http://127.0.0.1:4000/graphql [API key]`
 */
// From elsewhere: 'alignsae-server/follow'.
import { follow } from '../src/client/index.ts';

const [endpoint = 'http://127.0.0.1:4000/graphql', key] = process.argv.slice(2);
const headers = { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) };

async function query<T>(text: string, variables: Record<string, unknown> = {}): Promise<T> {
  const body = JSON.stringify({ query: text, variables });
  const response = await fetch(endpoint, { method: 'POST', headers, body });
  const { data, errors } = (await response.json()) as { data: T; errors?: { message: string }[] };
  if (errors) throw new Error(errors.map((error) => error.message).join('\n'));
  return data;
}

interface Runs {
  runs: { edges: { node: { id: string; kind: string; status: string } }[] };
}
const { runs } = await query<Runs>(
  '{ runs(first: 10, filter: { kind: [ALIGNMENT] }) { edges { node { id kind status } } } }',
);
for (const { node } of runs.edges) console.log(node.kind, node.status, node.id);
const newest = runs.edges[0]?.node;
if (!newest) throw new Error('The server has no alignment runs yet; `npm run demo` makes some.');

// Cut off, it goes on behind the last cursor: nothing is missed or repeated.
interface Events {
  runEvents: { cursor: string; event: { step?: number; status?: string } };
}
const events = follow<Events>(endpoint, {
  query: `subscription ($id: ID!, $after: String) {
    runEvents(id: $id, after: $after) {
      cursor
      event {
        ... on RunStatusChanged { status phase progress }
        ... on MetricsLogged { step metrics { name value } }
      }
    }
  }`,
  variables: { id: newest.id },
  key,
});
let last: Events | undefined;
for await (const data of events) last = data;
console.log('last event:', JSON.stringify(last));

const bindings = await query(
  `query ($id: ID!) {
    run(id: $id) {
      ... on AlignmentRun {
        chosenAlpha
        binding(split: TEST_OOD) { accuracy matrix }
        slots(first: 20) { edges { node { index concept { key } topTokens(first: 5) { token score } } } }
      }
    }
  }`,
  { id: newest.id },
);
console.log(JSON.stringify(bindings, null, 2));

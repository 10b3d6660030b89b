/** `npm run demo`: from nothing to a finished concept swap, as a client of the public API. */
import { parseArgs } from 'node:util';
import { createApiClient } from './client.ts';
import { runDemo } from './scenario.ts';
import { startOwnServer } from './server.ts';
import { line } from './terminal.ts';

const USAGE = `npm run demo -- [--exit] [--seed N] [--people N] [--steps N]

  --exit       end the server when the demo is through, instead of serving on
  --seed N     seed of the data, the model and the alignments (default 0)
  --people N   people in the generated biographies (default 100)
  --steps N    training steps of the language model (default: the API's; fewer on wasm)
`;

const { values: flags } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    seed: { type: 'string', default: '0' },
    people: { type: 'string', default: '100' },
    steps: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const server = await startOwnServer();
  const api = createApiClient(`${server.url}/graphql`);
  line(`\nWatch it at ${server.url}/app`);
  let runs: string[] = [];
  try {
    runs = await runDemo(api, {
      seed: Number(flags.seed),
      people: Number(flags.people),
      steps: flags.steps === undefined ? null : Number(flags.steps),
    });
  } catch (error) {
    process.exitCode = 1;
    line(`\nThe demo did not finish: ${(error as Error).message}\nThe server's log is ${server.logFile}`);
    await server.stop();
  } finally {
    await api.close();
  }
  if (flags.exit) await server.stop();
  else if (!process.exitCode) {
    const [last] = runs.slice(-1).map(encodeURIComponent);
    line(`\nThe page with these runs is open at ${server.url}/app`);
    line(`  the last alignment    ${server.url}/app/runs/${last}`);
    line(`  swap concepts there   ${server.url}/app/runs/${last}/swap`);
    line(
      `  all alignments, compared  ${server.url}/app/compare?ids=${runs.map(encodeURIComponent).join(',')}`,
    );
    line(`GraphiQL is at ${server.url}/graphql. Ctrl-C ends the server.`);
  }
  await server.exited;
}

if (flags.help) process.stdout.write(USAGE);
else
  await main().catch((error: Error) => {
    process.exitCode = 1;
    line(`\nThe demo could not begin: ${error.message}`);
  });

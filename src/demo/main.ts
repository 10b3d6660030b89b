/** `npm run demo`: from nothing to a finished concept swap, as a client of the public API. */
import { dirname } from 'node:path';
import type { Config } from '../config.ts';
import { type DemoArguments, readArguments, USAGE } from './arguments.ts';
import { type ApiClient, createApiClient } from './client.ts';
import { needNative, runCountriesDemo, SMOLLM2_ALIGNMENT } from './countries.ts';
import { runDemo } from './scenario.ts';
import { startOwnServer } from './server.ts';
import { fetchSmolLm2, SMOLLM2_FILE } from './smollm2.ts';
import { line } from './terminal.ts';

/** Said beforehand. */
const DURATION =
  '\nOn two cores this takes about five minutes, and a download of 93 MB the first time besides.';

async function main(options: DemoArguments): Promise<void> {
  const server = await startOwnServer(options.model === 'smollm2' ? prepareSmolLm2 : undefined);
  const api = createApiClient(`${server.url}/graphql`);
  line(`\nWatch it at ${server.url}/app`);
  let runs: string[] = [];
  try {
    runs = await scenarioOf(options)(api);
  } catch (error) {
    process.exitCode = 1;
    line(`\nThe demo did not finish: ${(error as Error).message}\nThe server's log is ${server.logFile}`);
    await server.stop();
  } finally {
    await api.close();
  }
  if (options.exit) await server.stop();
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

/** What to do once the server listens. */
function scenarioOf(options: DemoArguments): (api: ApiClient) => Promise<string[]> {
  if (options.model === 'gpt2') return (api) => runDemo(api, options);
  const { seed, countries } = options;
  const plan = { path: SMOLLM2_FILE, seed, countries, alignment: SMOLLM2_ALIGNMENT };
  return async (api) => {
    await needNative(api);
    return runCountriesDemo(api, plan);
  };
}

/** Has the model where the server may import it from. */
async function prepareSmolLm2({ cacheDir }: Config): Promise<Record<string, string>> {
  line(DURATION);
  const path = await fetchSmolLm2(cacheDir, process.env, (message) => line(`  ${message}`));
  return { IMPORT_DIR: dirname(path) };
}

function read(): DemoArguments | null {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
    return null;
  }
}

const options = read();
if (options?.help) process.stdout.write(USAGE);
else if (options)
  await main(options).catch((error: Error) => {
    process.exitCode = 1;
    line(`\nThe demo could not begin: ${error.message}`);
  });

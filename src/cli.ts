/** `alignsae-server` on the command line: what is asked for, before anything is started. */
import type { Variable } from './config.ts';
import { AppError } from './errors.ts';
import { CODE_VERSION } from './version.ts';

/** Every variable with what it says; `docs/configuration.md` tells more of each. */
const VARIABLES: { readonly [V in Variable]: string } = {
  HOST: 'address to listen on (127.0.0.1); one that others can reach requires API keys',
  PORT: 'port to listen on (4000); 0 takes any free one',
  ROLE: 'all, api or worker (all)',
  DATA_DIR: 'directory of the embedded Postgres, of artifacts and of runs at work (.data)',
  DATABASE_URL: 'a Postgres of your own, instead of the embedded one',
  DATABASE_POOL_SIZE: 'connections for requests (10)',
  ARTIFACTS_URL: 's3://bucket/prefix or a directory (DATA_DIR/artifacts)',
  ARTIFACTS_CACHE: 'what is kept of a bucket (20gb)',
  CACHE_DIR: 'where the built engine is kept (~/.cache/alignsae)',
  XDG_CACHE_HOME: 'directory of caches, instead of ~/.cache',
  IMPORT_DIR: 'directory below which files can be imported by path (data)',
  HF_ENDPOINT: 'the hub that models are imported from (https://huggingface.co)',
  HF_TOKEN: 'a token of the hub',
  MAX_MODEL_SIZE: 'of an imported model (16gb)',
  ENGINE_BACKEND: 'auto, native or wasm (auto)',
  TENSORFLOW_DIR: 'an unpacked TensorFlow to use',
  ENGINE_MEMORY: 'weights that stay loaded for callers who wait (4gb)',
  WORKER_CONCURRENCY: 'runs at a time (1)',
  CHECKPOINT_INTERVAL: 'work that a killed run repeats at most (10s)',
  ADMIN_API_KEY: 'a secret of 32 characters or more, with all scopes',
  REQUIRE_API_KEY: 'true asks for keys on loopback, too (false)',
  CORS_ORIGINS: 'pages that may call this server, separated by commas',
  MAX_BODY_SIZE: 'of a request (1mb)',
  MAX_UPLOAD_SIZE: 'of the files in a request (64mb)',
  MAX_QUERY_DEPTH: 'of an operation (12)',
  MAX_QUERY_ALIASES: 'of an operation (30)',
  MAX_QUERY_TOKENS: 'of an operation (2000)',
  MAX_QUERY_COMPLEXITY: 'of an operation (50000)',
  MAX_SUBSCRIPTIONS: 'of one client at once (100)',
  MAX_QUEUED_RUNS: 'of one key that wait at once (1000)',
  METRICS_PORT: 'port of /metrics for Prometheus (0: none)',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'collector that traces are sent to (none)',
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'the same, with its path',
  RETENTION_INTERVAL: 'between two collections (1h)',
  RETENTION_EVENTS: 'age at which logs of ended runs are collected (90d)',
  RETENTION_DAMAGED: 'the same of damaged files (30d)',
  RETENTION_FAILED_RUNS: 'the same of runs that failed or were cancelled (off)',
  RETENTION_RESULTS: 'the same of all ended runs (off)',
  RETENTION_AUDIT: 'the same of the log of changes (off)',
  SHUTDOWN_TIMEOUT: 'what requests and checkpoints may take after SIGTERM (15s)',
  LOG_LEVEL: 'trace, debug, info, warn, error, fatal or silent (info)',
};

const HELP = `alignsae-server ${CODE_VERSION}: an interpretability API server.

  alignsae-server              starts it and prints its address; Ctrl-C stops it
  alignsae-server --help       this text
  alignsae-server --prepare    fetches and prepares the engine ahead of the first start, and ends
  alignsae-server --version    the version

At the first start the engine is prepared: TensorFlow is fetched (274 MB, kept in CACHE_DIR). The page is at /app,
GraphiQL at /graphql. Settings are environment variables, such as PORT=4001 alignsae-server (defaults in parentheses):

${Object.entries(VARIABLES)
  .map(([name, meaning]) => `  ${name.padEnd(36)}${meaning}`)
  .join('\n')}
`;

/** What is to run, or the text to print instead. @throws AppError INVALID_INPUT. */
export function readArguments(args: readonly string[]): { run: 'main' | 'prepare' } | { print: string } {
  const [first, ...others] = args;
  if (first === undefined) return { run: 'main' };
  if (others.length === 0 && first === '--prepare') return { run: 'prepare' };
  if (others.length === 0 && (first === '--help' || first === '-h')) return { print: HELP };
  if (others.length === 0 && (first === '--version' || first === '-v')) return { print: `${CODE_VERSION}\n` };
  throw new AppError(
    'INVALID_INPUT',
    `alignsae-server: got ${JSON.stringify(args.join(' '))}; it accepts --help, --prepare or --version, and settings as environment variables, such as PORT=4001 alignsae-server.`,
  );
}

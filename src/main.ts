/** Composition root: configuration → database → jobs → server, and the way back on a signal. */
import { join } from 'node:path';
import { type Config, readConfig } from './config.ts';
import { type ArtifactStore, openArtifactStore } from './db/artifactStore.ts';
import { createDatabase, type Database } from './db/client.ts';
import { startEmbeddedPostgres } from './db/embedded.ts';
import { inspectDatabase } from './db/inspect.ts';
import { migrateDatabase } from './db/migrate.ts';
import { listenForNotifications, type Notifications } from './db/notifications.ts';
import { countQueue, countRuns } from './db/queries/runs.ts';
import { followRunChanges } from './db/runChanges.ts';
import { createRunFeed } from './db/runFeed.ts';
import { guardStore, type StoreGuard } from './db/storeIdentity.ts';
import type { NativeAddon } from './engine/contract/native.ts';
import { prepareNative } from './engine/native/build.ts';
import { AppError } from './errors.ts';
import { EngineCalls } from './jobs/calls.ts';
import { type EngineOptions, probeEngine } from './jobs/host.ts';
import { prepareQueue } from './jobs/queue.ts';
import { startRetention } from './jobs/retention.ts';
import { type RunWorker, startWorker } from './jobs/worker.ts';
import { createLogger, type Logger } from './log.ts';
import { createReadiness, type Readiness } from './readiness.ts';
import { createContext, type Dependencies } from './schema/context.ts';
import { buildSchema } from './schema/schema.ts';
import { createAuthenticate } from './server/auth.ts';
import { startApiServer } from './server/http.ts';
import { KeyWatch } from './server/keyWatch.ts';
import { isLoopback } from './server/origins.ts';
import { checkPort } from './server/port.ts';
import { followKeys, hasAdminKey, setEnvironmentKey, verifyApiKey } from './services/apiKey.ts';
import { ImportProcesses } from './services/importProcess.ts';

/** What was opened, to be closed in the opposite order. */
class Closers {
  readonly #closers: (() => Promise<unknown> | unknown)[] = [];

  add(close: () => Promise<unknown> | unknown): void {
    this.#closers.push(close);
  }

  async closeAll(log: Logger): Promise<void> {
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        log.error({ err: error }, 'closing failed');
      }
    }
  }
}

async function start(config: Config, log: Logger, closers: Closers): Promise<string | null> {
  if (config.sendsTraces) {
    const { startTracing } = await import('./tracing.ts');
    const tracing = startTracing(config.role, log);
    closers.add(() => tracing.stop(config.shutdownTimeoutMs));
  }
  if (config.role !== 'worker') await checkPort(config);
  const engine: EngineOptions = { backend: config.engineBackend, native: await findAddon(config, log), log };
  const connectionString = await inspectDatabase(
    config.databaseUrl ?? (await startPostgres(config, log, closers)),
  );
  await migrateDatabase(connectionString);
  const openPool = (role: 'api' | 'worker', maxConnections: number) => {
    const pool = createDatabase(connectionString, {
      log,
      maxConnections,
      applicationName: `alignsae ${role}`,
    });
    closers.add(() => pool.close());
    return pool;
  };
  const database = openPool('api', config.databasePoolSize);
  await prepareQueue(database.pool, log);
  const notifications = listenForNotifications(connectionString, log);
  closers.add(() => notifications.close());
  await notifications.ready;
  const store = await openStore(config, closers);
  const guard = await guardStore(database.db, store);
  const retention = startRetention({ database, store, ...config.retention, log });
  closers.add(() => retention.stop());
  const workerPool =
    config.role === 'api'
      ? null
      : // Of its own: queries that keep callers waiting must not keep runs waiting.
        openPool('worker', WORKER_CONNECTIONS + config.workerConcurrency * CONNECTIONS_PER_RUN);
  let worker: RunWorker | null = null;
  const engines = [() => worker?.enginePids ?? []];
  closers.add(() => worker?.stop());
  const url =
    config.role === 'worker'
      ? null
      : await startApi(config, { database, notifications, store, guard, engine, engines }, log, closers);
  if (config.metricsPort > 0)
    await serveMetrics(config, database, () => engines.flatMap((pids) => pids()), log, closers);
  // Not before the port is had: a server that must end for want of one would leave runs half done.
  if (workerPool)
    worker = await startWorker({
      ...{ database: workerPool, store, notifications, engine, info: await probeEngine(engine), log },
      workRoot: join(config.dataDir, 'work'),
      concurrency: config.workerConcurrency,
      checkpointEveryMs: config.checkpointEveryMs,
      drainMs: config.shutdownTimeoutMs,
    });
  if (url) log.info({ url, page: `${url}/app`, graphiql: `${url}/graphql` }, 'listening');
  return url;
}

/** Not loaded where nobody asks for it. */
async function serveMetrics(
  { host, metricsPort: port }: Config,
  { db }: Database,
  enginePids: () => number[],
  log: Logger,
  closers: Closers,
): Promise<void> {
  const { startMetrics } = await import('./server/metrics.ts');
  const metrics = await startMetrics({
    host,
    port,
    countRuns: async () => ({ byStatus: await countRuns(db), ...(await countQueue(db)) }),
    enginePids,
  });
  closers.add(() => metrics.close());
  log.info({ url: metrics.url }, 'figures for Prometheus');
}

async function openStore(
  { artifactsUrl: url, artifactsDir, artifactsCacheBytes: cacheBytes, dataDir }: Config,
  closers: Closers,
): Promise<ArtifactStore> {
  if (!url) return openArtifactStore(artifactsDir);
  // Only those who need the client load it.
  const { openS3Store } = await import('./db/s3/s3Store.ts');
  const store = await openS3Store({ url, cacheDir: join(dataDir, 'artifacts-cache'), cacheBytes });
  closers.add(() => store.close());
  return store;
}

/** What a worker asks beside its runs: the queue's listener and polls, the sweep, the watch over cancellations. */
const WORKER_CONNECTIONS = 5;
/** A run writes metrics and stores a checkpoint at the same time, and its job completes. */
const CONNECTIONS_PER_RUN = 3;

interface Opened {
  database: Database;
  notifications: Notifications;
  store: ArtifactStore;
  guard: StoreGuard;
  engine: EngineOptions;
  /** Asked for the process ids of engines. */
  engines: (() => number[])[];
}

function startApi(
  config: Config,
  { database, notifications, store, guard, engine, engines }: Opened,
  log: Logger,
  closers: Closers,
): Promise<string> {
  const { importDir, hub, limits } = config;
  const calls = new EngineCalls({ ...engine, memoryBytes: config.engineMemoryBytes });
  engines.push(() => (calls.enginePid === null ? [] : [calls.enginePid]));
  closers.add(() => calls.stop());
  const feed = createRunFeed({ db: database.db, notifications, log });
  closers.add(() => feed.close());
  const runChanges = followRunChanges({ db: database.db, notifications, log });
  closers.add(() => runChanges.close());
  const readiness = createReadiness(database.connectionString, guard);
  closers.add(() => readiness.close());
  const imports = new ImportProcesses(log);
  const dependencies = {
    ...{ db: database.db, store, feed, runChanges, engine: calls },
    ...{ imports, importDir, hub, limits },
    retention: config.retention.ages,
  };
  return serve(config, dependencies, { notifications, readiness }, log, closers);
}

async function serve(
  config: Config,
  dependencies: Dependencies,
  { notifications, readiness }: { notifications: Notifications; readiness: Readiness },
  log: Logger,
  closers: Closers,
): Promise<string> {
  const { db } = dependencies;
  await setEnvironmentKey(db, config.adminApiKey);
  const keys = new KeyWatch();
  closers.add(followKeys(db, notifications, keys));
  const local = isLoopback(config.host);
  if (!local && !(await hasAdminKey(db)))
    throw new AppError(
      'INVALID_INPUT',
      `HOST: got ${JSON.stringify(config.host)}, which others can reach; set ADMIN_API_KEY to a secret of at least 32 characters, or HOST to 127.0.0.1.`,
    );
  const server = await startApiServer({
    config,
    schema: buildSchema(),
    log,
    authenticate: createAuthenticate({
      allowAnonymous: local && !config.requireApiKey,
      verifyKey: (key) => verifyApiKey(db, key),
    }),
    keys,
    createContext: (viewer, requestId, lastEventId) =>
      createContext(dependencies, viewer, requestId, lastEventId),
    checkReady: () => readiness.check(),
  });
  closers.add(() => server.close(config.shutdownTimeoutMs));
  // First, for the server waits for the requests of those who wait for imports.
  closers.add(() => dependencies.imports.stop());
  return server.url;
}

async function findAddon(config: Config, log: Logger): Promise<NativeAddon> {
  if (config.engineBackend === 'wasm') return { available: false, reason: 'ENGINE_BACKEND is wasm' };
  const addon = await prepareNative({
    cacheDir: config.cacheDir,
    tensorflowDir: config.tensorflowDir,
    environment: process.env,
    log: (message) => log.info(message),
  });
  if (!addon.available)
    log.warn({ reason: addon.reason }, 'the native engine is not available; wasm is slower');
  return addon;
}

async function startPostgres(config: Config, log: Logger, closers: Closers): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dataDir: join(config.dataDir, 'postgres'), log });
  closers.add(() => postgres.stop());
  return postgres.connectionString;
}

/** Reads the configuration and runs until a signal; a start that fails leaves nothing open and exits with 1. */
async function main(): Promise<void> {
  const config = readConfig();
  const log = createLogger(config.logLevel);
  const closers = new Closers();
  let stopping: Promise<void> | null = null;
  const stop = (reason: string, exitCode: number) => {
    stopping ??= (async () => {
      log.info({ reason }, 'stopping');
      await closers.closeAll(log);
      log.info('stopped');
      process.exit(exitCode);
    })();
    return stopping;
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop(signal, 0));
  try {
    const url = await start(config, log, closers);
    process.send?.({ url });
  } catch (error) {
    process.send?.({ failure: error instanceof Error ? error.message : String(error) });
    log.fatal(
      error instanceof AppError ? { reason: error.message } : { err: error },
      'the server did not start',
    );
    await stop('failed start', 1);
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof AppError ? error.message : String(error)}\n`);
  process.exit(1);
}

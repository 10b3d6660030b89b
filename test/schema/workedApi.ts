/** The API beside a worker and an engine, as in a server of role `all`: what is started comes to its end. */
import { join } from 'node:path';
import { inject } from 'vitest';
import { createDatabase } from '../../src/db/client.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { type EngineOptions, probeEngine } from '../../src/jobs/host.ts';
import { startWorker } from '../../src/jobs/worker.ts';
import { silentLog } from '../helpers/log.ts';
import { type Api, openApi } from './api.ts';

export async function openWorkedApi(): Promise<Api> {
  const engine: EngineOptions = { backend: 'auto', native: inject('native'), log: silentLog };
  const calls = new EngineCalls(engine);
  const api = await openApi({ engine: calls });
  // Of the worker's own, so that the statements of a request can be counted.
  const database = createDatabase(api.database.connectionString, { log: silentLog });
  const worker = await startWorker({
    ...{ database, store: api.dependencies.store, notifications: api.notifications },
    ...{ engine, info: await probeEngine(engine), log: silentLog, workRoot: join(api.importDir, 'work') },
    ...{ concurrency: 1, checkpointEveryMs: 60_000, drainMs: 5000 },
  });
  return {
    ...api,
    async close() {
      await worker.stop();
      await database.close();
      await calls.stop();
      await api.close();
    },
  };
}

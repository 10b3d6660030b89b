/** A worker in a process of its own, to be killed: started with `fork`, its options come as the first message. */
import { openArtifactStore } from '../../src/db/artifactStore.ts';
import { createDatabase } from '../../src/db/client.ts';
import { listenForNotifications } from '../../src/db/notifications.ts';
import type { NativeAddon } from '../../src/engine/contract/native.ts';
import type { BackendInfo } from '../../src/engine/contract/protocol.ts';
import { startWorker } from '../../src/jobs/worker.ts';
import { silentLog as log } from '../helpers/log.ts';

export interface WorkerProcessOptions {
  connectionString: string;
  storeRoot: string;
  workRoot: string;
  native: NativeAddon;
  info: BackendInfo;
  checkpointEveryMs: number;
}

process.once('message', async (options: WorkerProcessOptions) => {
  const { connectionString, storeRoot, workRoot, native, info, checkpointEveryMs } = options;
  const worker = await startWorker({
    database: createDatabase(connectionString, { log, applicationName: 'worker process' }),
    store: await openArtifactStore(storeRoot),
    notifications: listenForNotifications(connectionString, log),
    engine: { backend: 'auto', native, log },
    info,
    workRoot,
    concurrency: 1,
    checkpointEveryMs,
    drainMs: 5000,
    log,
  });
  process.send!('started');
  // Any further message asks for the engines at work.
  process.on('message', () => process.send!(worker.enginePids));
});

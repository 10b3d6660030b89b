/** A server process of which only the embedded Postgres is there; stops it in order when told to. */
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { silentLog } from './log.ts';

try {
  const postgres = await startEmbeddedPostgres({ dataDir: process.argv[2]!, log: silentLog });
  process.on('message', async () => {
    await postgres.stop();
    process.disconnect();
  });
  process.send!({ connectionString: postgres.connectionString, adopted: postgres.adopted });
} catch (error) {
  process.send!({ error: String(error) });
  process.disconnect();
}

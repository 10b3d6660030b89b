/** For `scripts/image.ts`, in a network of its own: starts the server of a container, asks it, and stops it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLogger } from '../../src/log.ts';

const container = process.argv[2]!;
const IMAGE_KEY = 'key-of-an-image-that-is-tried-once-only';
const URL_OF_API = 'http://127.0.0.1:4000';

execFileSync('ip', ['link', 'set', 'lo', 'up']);
const directory = mkdtempSync(join(tmpdir(), 'alignsae-image-'));
chmodSync(directory, 0o755);
const hbaFile = join(directory, 'pg_hba.conf');
writeFileSync(hbaFile, 'local all all trust\nhost all all 127.0.0.1/32 trust\n');
const postgres = await startEmbeddedPostgres({
  dataDir: join(directory, 'postgres'),
  log: createLogger('error'),
  settings: { listen_addresses: '127.0.0.1', hba_file: hbaFile },
});
try {
  const { username, pathname } = new URL(postgres.connectionString);
  await tryServer(`postgres://${username}@127.0.0.1:5432${pathname}`);
} finally {
  await postgres.stop();
  rmSync(directory, { recursive: true, force: true });
}

async function tryServer(databaseUrl: string): Promise<void> {
  const begun = performance.now();
  const environment = { DATABASE_URL: databaseUrl, ADMIN_API_KEY: IMAGE_KEY };
  const settings = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const within = ['run', '--isolation', 'chroot', ...settings, container, '--', 'node'];
  // As the image's own USER, in its WORKDIR, by its ENTRYPOINT and its HEALTHCHECK.
  const child = spawn('buildah', [...within, 'bin/alignsae-server.js'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  try {
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.includes('"msg":"listening"')) resolve();
        else if (line.includes('"level":50')) console.log(line);
      });
      void gone.then(([code]) => reject(new Error(`the server ended with ${code}`)));
    });
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    console.log(`listening after ${seconds} s; /ready says ${(await fetch(`${URL_OF_API}/ready`)).status}`);
    execFileSync('buildah', [...within, 'deploy/healthcheck.js'], { stdio: 'inherit' });
    console.log('its health check passes');
    const response = await fetch(`${URL_OF_API}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${IMAGE_KEY}` },
      body: JSON.stringify({ query: '{ engine { workers { backend fallbackReason } } }' }),
    });
    console.log(await response.text());
    console.log(
      `user of the process: ${execFileSync('buildah', ['run', '--isolation', 'chroot', container, '--', 'id', '-u'])}`,
    );
  } finally {
    child.kill('SIGTERM');
    await gone;
  }
}

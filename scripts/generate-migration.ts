/**
 * `npm run db:generate -- --name x`: the migration from the tables as they are, by drizzle-kit with the options
 * given. It names no schema, so that tables land where the search path says.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const { status } = spawnSync('drizzle-kit', ['generate', ...process.argv.slice(2)], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

const folder = new URL('../migrations/', import.meta.url);
for (const name of readdirSync(folder).filter((file) => file.endsWith('.sql'))) {
  const file = new URL(name, folder);
  const text = readFileSync(file, 'utf8');
  if (text.includes('"public".')) writeFileSync(file, text.replaceAll('"public".', ''));
}

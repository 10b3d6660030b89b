/** Ends `npm run db:generate`: migrations name no schema, so that tables land where the search path says. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('../migrations/', import.meta.url);
for (const name of readdirSync(folder).filter((file) => file.endsWith('.sql'))) {
  const file = new URL(name, folder);
  const text = readFileSync(file, 'utf8');
  if (text.includes('"public".')) writeFileSync(file, text.replaceAll('"public".', ''));
}

/**
 * `tsx scripts/withPage.ts MODULE`: builds the page where it is missing or older than its sources, then runs the module
 * in this process. Not in scripts of npm that come before others: `ignore-scripts` in `.npmrc` leaves those out.
 */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

// As the package's executable does.
process.env.NODE_ENV ??= 'production';
const [module = ''] = process.argv.splice(2, 1);
try {
  // What builds is not there where only the server's own packages were installed.
  const { buildPageIfStale } = await import('./page/build.ts');
  const start = performance.now();
  if (await buildPageIfStale())
    process.stdout.write(`The page was built in ${((performance.now() - start) / 1000).toFixed(1)} s.\n`);
} catch (error) {
  process.stderr.write(`The page was not built: ${(error as Error).message}\nThe API works without it.\n`);
}
await import(pathToFileURL(resolve(module)).href);

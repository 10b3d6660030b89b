/** `npm run build:page`; with `--if-stale`, as before `npm start` and `npm run demo`, only where it is not up to date. */
const isOptional = process.argv.includes('--if-stale');
try {
  // What builds is not there where only the server's own packages were installed.
  const { buildPage, buildPageIfStale } = await import('./build.ts');
  const start = performance.now();
  if (!isOptional) await buildPage();
  const isBuilt = isOptional ? await buildPageIfStale() : true;
  if (isBuilt)
    process.stdout.write(`The page was built in ${((performance.now() - start) / 1000).toFixed(1)} s.\n`);
} catch (error) {
  if (!isOptional) throw error;
  process.stderr.write(`The page was not built: ${(error as Error).message}\nThe API works without it.\n`);
}

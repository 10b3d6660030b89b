// Exits with 0 while the server of this container does its work: an API that is ready, a worker that answers at all,
// for while Postgres is away it waits.
const { ROLE = 'all', PORT = '4000', METRICS_PORT = '0' } = process.env;
const url = ROLE === 'worker' ? `http://127.0.0.1:${METRICS_PORT}/metrics` : `http://127.0.0.1:${PORT}/ready`;
// A worker that tells no figures has no port to ask; Docker sees whether it runs.
const isDeaf = ROLE === 'worker' && METRICS_PORT === '0';
const ok =
  isDeaf ||
  (await fetch(url, { signal: AbortSignal.timeout(4000) }).then(
    (answer) => answer.ok || ROLE === 'worker',
    () => false,
  ));
process.exit(ok ? 0 : 1);

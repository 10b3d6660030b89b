import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';

describe('readConfig', () => {
  it('listens on loopback and keeps everything below the working directory by default', () => {
    const config = readConfig({ XDG_CACHE_HOME: '/cache' });
    expect(config).toMatchObject({ host: '127.0.0.1', port: 4000, role: 'all', databaseUrl: null });
    expect(config.dataDir).toBe(resolve('.data'));
    expect(config.cacheDir).toBe(join('/cache', 'alignsae'));
  });

  it('reads durations, sizes and lists', () => {
    const config = readConfig({
      CHECKPOINT_INTERVAL: '2m',
      MAX_UPLOAD_SIZE: '3MB',
      CORS_ORIGINS: 'https://a.example, http://localhost:5173',
    });
    expect(config.checkpointEveryMs).toBe(120_000);
    expect(config.limits.uploadBytes).toBe(3 * 1024 * 1024);
    expect(config.corsOrigins).toEqual(['https://a.example', 'http://localhost:5173']);
  });

  it('takes an empty variable for one that is not set', () => {
    expect(readConfig({ PORT: '', DATABASE_URL: '' })).toMatchObject({ port: 4000, databaseUrl: null });
  });

  it.each([
    ['PORT', '70000', 'a whole number from 0 to 65535'],
    ['PORT', '4000.5', 'a whole number from 0 to 65535'],
    ['ROLE', 'both', 'accepts all, api, worker'],
    ['ENGINE_BACKEND', 'cuda', 'accepts auto, native, wasm'],
    ['CHECKPOINT_INTERVAL', 'soon', 'a number with ms, s, m, h or d'],
    ['MAX_BODY_SIZE', '-1', 'bytes or a number with kb, mb or gb'],
    ['CORS_ORIGINS', 'dashboard.example', 'origins separated by commas'],
    ['RETENTION_RESULTS', '5m', 'off, or at least an hour'],
    ['MAX_QUEUED_RUNS', '0', 'a whole number from 1'],
    ['METRICS_PORT', '65536', 'a whole number from 0 to 65535'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', 'accepts an address of a collector'],
    ['REQUIRE_API_KEY', 'yes', 'accepts true, false'],
  ])('refuses %s=%s, naming it, its value and what it accepts', (name, value, accepted) => {
    expect(() => readConfig({ [name]: value })).toThrow(`${name}: got "${value}"; it`);
    expect(() => readConfig({ [name]: value })).toThrow(accepted);
  });

  it('names every wrong variable at once, and repeats no secret', () => {
    const read = () =>
      readConfig({ PORT: 'x', ADMIN_API_KEY: 'short-secret', DATABASE_URL: 'mysql://u:pw@h/d' });
    expect(read).toThrow(/PORT: got "x".*\n.*DATABASE_URL.*\n.*ADMIN_API_KEY/s);
    expect(read).not.toThrow(/short-secret|pw@h/);
  });

  it.each([
    'postgres://u:p%40ss%2Fw%23@127.0.0.1:5432/db',
    'postgresql://u@%2Fvar%2Frun%2Fpostgresql/db',
    'postgres://u:p@h/db?sslmode=require&schema=own',
    'postgres:///db?host=/var/run/postgresql',
    'postgres://u:p@[::1]:5432/db',
  ])('takes %s for DATABASE_URL', (url) => {
    expect(readConfig({ DATABASE_URL: url }).databaseUrl).toBe(url);
  });

  it.each([
    ['postgres://u:S3cret#pw@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:S3cret/pw@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:5432/S3cret@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:p@S3cret/w@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:S3cret?pw@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:12?S3cret@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:S3cret%zz@127.0.0.1:5432/db', 'percent-encode'],
    ['postgres://u:S3cret\npw@127.0.0.1:5432/db', 'control character'],
    ['postgres://u:S3cret@127.0.0.1:5432/db\n', 'line break: remove it'],
    [' postgres://u:S3cret@127.0.0.1:5432/db', 'postgres://user:password@host'],
    ['postgres://u:S3cret@h:543210/db', 'percent-encode'],
    ['postgres://u:S3cret@h/db/more', 'more than a database'],
    ['postgres://u:S3cret@h/db?search_path=own', 'schema, options'],
    ['postgres://u:S3cret@h/db?schema=pg_catalog', 'any schema but'],
    ['postgres://u:S3cret@h/db?schema=', '1–63 bytes'],
    ['S3cret', 'accepts postgres://user:password@host:port/database'],
  ])('refuses DATABASE_URL %j, saying why and repeating nothing of it', (url, why) => {
    const read = () => readConfig({ DATABASE_URL: url });
    expect(read).toThrow(/^DATABASE_URL: got the value given; it accepts /);
    expect(read).toThrow(why);
    expect(read).not.toThrow(/S3cret|127|54321/);
  });
});

/** Environment variables, read once at boot; a bad value stops the start with its name and what it accepts. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { findUrlFault } from './db/databaseUrl.ts';
import { AppError } from './errors.ts';

const DURATION = /^(\d+)(ms|s|m|h|d)?$/;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE = /^(\d+)(kb|mb|gb)?$/i;
const UNIT_BYTES = { kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine((v) => DURATION.test(v), { message: 'accepts a number with ms, s, m, h or d, such as 30s' })
    .transform(toMs);

function toMs(text: string): number {
  const [, n, unit] = DURATION.exec(text)!;
  return Number(n) * UNIT_MS[(unit ?? 'ms') as keyof typeof UNIT_MS];
}

/** After how long something is collected; null for never. */
const retention = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine((v) => v === 'off' || (DURATION.test(v) && toMs(v) >= UNIT_MS.h), {
      message: 'accepts off, or at least an hour, such as 90d',
    })
    .transform((v) => (v === 'off' ? null : toMs(v)));

const size = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine((v) => SIZE.test(v), { message: 'accepts bytes or a number with kb, mb or gb, such as 64mb' })
    .transform((v) => {
      const [, n, unit] = SIZE.exec(v)!;
      return Number(n) * (unit ? UNIT_BYTES[unit.toLowerCase() as keyof typeof UNIT_BYTES] : 1);
    });

const integer = (fallback: number, min: number, max: number) =>
  z
    .string()
    .default(String(fallback))
    .refine((v) => /^\d+$/.test(v) && Number(v) >= min && Number(v) <= max, {
      message: `accepts a whole number from ${min} to ${max}`,
    })
    .transform(Number);

const oneOf = <T extends string>(values: readonly [T, ...T[]], fallback: T) =>
  z
    .string()
    .default(fallback)
    .refine((v): v is T => (values as readonly string[]).includes(v), {
      message: `accepts ${values.join(', ')}`,
    })
    .transform((v) => v as T);

/** Where traces go; the client of OpenTelemetry reads it by itself, and would send to nowhere without a word. */
const collector = z
  .string()
  .refine((v) => /^https?:\/\//.test(v) && URL.canParse(v), {
    message: 'accepts an address of a collector, such as http://127.0.0.1:4318',
  })
  .optional();

/** Names of buckets as S3 has them; keys below may be anything that needs no escaping. */
const S3_URL = /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[\w.=-]+)*\/?$/;

const environment = z.object({
  HOST: z.string().min(1, { message: 'accepts a host name or address' }).default('127.0.0.1'),
  PORT: integer(4000, 0, 65_535),
  ROLE: oneOf(['all', 'api', 'worker'], 'all'),
  DATA_DIR: z.string().min(1, { message: 'accepts a directory' }).default('.data'),
  ARTIFACTS_URL: z
    .string()
    .refine((v) => S3_URL.test(v) || !v.includes('://'), {
      message: 'accepts s3://bucket or s3://bucket/prefix, or a directory',
    })
    .optional(),
  ARTIFACTS_CACHE: size('20gb'),
  CACHE_DIR: z.string().min(1, { message: 'accepts a directory' }).optional(),
  XDG_CACHE_HOME: z.string().optional(),
  IMPORT_DIR: z.string().min(1, { message: 'accepts a directory' }).default('data'),
  HF_ENDPOINT: z
    .string()
    .regex(/^https?:\/\/[^/]+$/, { message: 'accepts an origin, such as https://huggingface.co' })
    .default('https://huggingface.co'),
  HF_TOKEN: z
    .string()
    .regex(/^hf_\w+$/, { message: 'accepts a token of the hub, which begins with hf_' })
    .optional(),
  MAX_MODEL_SIZE: size('16gb'),
  /** 0 is none. */
  METRICS_PORT: integer(0, 0, 65_535),
  OTEL_EXPORTER_OTLP_ENDPOINT: collector,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector,
  DATABASE_URL: z
    .string()
    .superRefine((url, context) => {
      const fault = findUrlFault(url);
      if (fault) context.addIssue({ code: 'custom', message: fault });
    })
    .optional(),
  DATABASE_POOL_SIZE: integer(10, 2, 200),
  ENGINE_BACKEND: oneOf(['auto', 'native', 'wasm'], 'auto'),
  TENSORFLOW_DIR: z.string().optional(),
  ENGINE_MEMORY: size('4gb'),
  WORKER_CONCURRENCY: integer(1, 1, 64),
  CHECKPOINT_INTERVAL: duration('10s'),
  ADMIN_API_KEY: z.string().min(32, { message: 'accepts a secret of at least 32 characters' }).optional(),
  REQUIRE_API_KEY: oneOf(['true', 'false'], 'false').transform((v) => v === 'true'),
  CORS_ORIGINS: z
    .string()
    .default('')
    .transform((v) =>
      v
        .split(',')
        .map((o) => o.trim())
        .filter(Boolean),
    )
    .refine((origins) => origins.every((o) => o === '*' || /^https?:\/\/[^/]+$/.test(o)), {
      message: 'accepts origins separated by commas, such as https://dashboard.example.org',
    }),
  MAX_BODY_SIZE: size('1mb'),
  MAX_UPLOAD_SIZE: size('64mb'),
  MAX_QUERY_DEPTH: integer(12, 1, 100),
  MAX_QUERY_ALIASES: integer(30, 1, 1000),
  MAX_QUERY_TOKENS: integer(2000, 10, 100_000),
  MAX_QUERY_COMPLEXITY: integer(50_000, 10, 10_000_000),
  MAX_SUBSCRIPTIONS: integer(100, 1, 100_000),
  MAX_QUEUED_RUNS: integer(1000, 1, 1_000_000),
  RETENTION_INTERVAL: duration('1h'),
  RETENTION_EVENTS: retention('90d'),
  RETENTION_DAMAGED: retention('30d'),
  RETENTION_FAILED_RUNS: retention('off'),
  RETENTION_RESULTS: retention('off'),
  RETENTION_AUDIT: retention('off'),
  SHUTDOWN_TIMEOUT: duration('15s'),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
});

/** Name of a variable. */
export type Variable = keyof typeof environment.shape;

export type Config = ReturnType<typeof readConfig>;

/**
 * Validates the environment and returns it in the program's own terms: sizes in bytes, durations in milliseconds,
 * directories absolute.
 * @throws AppError INVALID_INPUT naming every offending variable, its value and what it accepts.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env) {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) throw new AppError('INVALID_INPUT', describe(parsed.error.issues, given));
  const v = parsed.data;
  return {
    host: v.HOST,
    port: v.PORT,
    role: v.ROLE,
    dataDir: resolve(v.DATA_DIR),
    artifactsUrl: v.ARTIFACTS_URL?.startsWith('s3://') ? v.ARTIFACTS_URL : null,
    artifactsDir: resolve(v.ARTIFACTS_URL ?? join(v.DATA_DIR, 'artifacts')),
    artifactsCacheBytes: v.ARTIFACTS_CACHE,
    cacheDir: resolve(v.CACHE_DIR ?? join(v.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'alignsae')),
    importDir: resolve(v.IMPORT_DIR),
    hub: { url: v.HF_ENDPOINT, token: v.HF_TOKEN ?? null },
    metricsPort: v.METRICS_PORT,
    sendsTraces: (v.OTEL_EXPORTER_OTLP_ENDPOINT ?? v.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) !== undefined,
    databaseUrl: v.DATABASE_URL ?? null,
    databasePoolSize: v.DATABASE_POOL_SIZE,
    engineBackend: v.ENGINE_BACKEND,
    engineMemoryBytes: v.ENGINE_MEMORY,
    tensorflowDir: v.TENSORFLOW_DIR ?? null,
    workerConcurrency: v.WORKER_CONCURRENCY,
    checkpointEveryMs: v.CHECKPOINT_INTERVAL,
    adminApiKey: v.ADMIN_API_KEY ?? null,
    requireApiKey: v.REQUIRE_API_KEY,
    corsOrigins: v.CORS_ORIGINS,
    limits: {
      bodyBytes: v.MAX_BODY_SIZE,
      uploadBytes: v.MAX_UPLOAD_SIZE,
      modelBytes: v.MAX_MODEL_SIZE,
      engineBytes: v.ENGINE_MEMORY,
      depth: v.MAX_QUERY_DEPTH,
      aliases: v.MAX_QUERY_ALIASES,
      tokens: v.MAX_QUERY_TOKENS,
      complexity: v.MAX_QUERY_COMPLEXITY,
      subscriptions: v.MAX_SUBSCRIPTIONS,
      queuedRuns: v.MAX_QUEUED_RUNS,
    },
    retention: {
      intervalMs: v.RETENTION_INTERVAL,
      ages: {
        EVENTS: v.RETENTION_EVENTS,
        DAMAGED: v.RETENTION_DAMAGED,
        FAILED_RUNS: v.RETENTION_FAILED_RUNS,
        RESULTS: v.RETENTION_RESULTS,
        AUDIT: v.RETENTION_AUDIT,
      },
    },
    shutdownTimeoutMs: v.SHUTDOWN_TIMEOUT,
    logLevel: v.LOG_LEVEL,
  };
}

const SECRETS = new Set(['ADMIN_API_KEY', 'DATABASE_URL', 'HF_TOKEN']);

function describe(issues: { path: PropertyKey[]; message: string }[], env: Record<string, unknown>): string {
  return issues
    .map(({ path, message }) => {
      const name = String(path[0]);
      const value = SECRETS.has(name) ? 'the value given' : JSON.stringify(env[name]);
      return `${name}: got ${value}; it ${message}`;
    })
    .join('\n');
}

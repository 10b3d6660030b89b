/** Bearer keys: shown once, stored as a hash, checked on every request. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { and, desc, eq, isNull, lt, or, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Db } from '../db/client.ts';
import { apiKeys, SCOPES, type Scope } from '../db/tables/index.ts';
import { AppError, notFound, parseOrThrow } from '../errors.ts';

export type { Scope } from '../db/tables/index.ts';
export type ApiKey = typeof apiKeys.$inferSelect;

/** Whose key it is and what it may do. */
export interface VerifiedKey {
  id: string;
  scopes: readonly Scope[];
}

/** Makes a leaked key recognisable to secret scanners. */
const PREFIX = 'alignsae_';
const KEY_BYTES = 32;
/** `lastUsedAt` is written at most this often, so that reading does not mean writing. */
const LAST_USED_RESOLUTION = sql`interval '1 minute'`;

const newApiKey = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1, { message: 'name must not be empty' })
    .max(200, { message: 'name must have at most 200 characters' }),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1, { message: `scopes must name at least one of ${SCOPES.join(', ')}` })
    .transform((scopes) => SCOPES.filter((scope) => scopes.includes(scope))),
});

/**
 * Creates a key and returns its text, which nothing can show again.
 * @throws AppError INVALID_INPUT
 */
export async function createApiKey(db: Db, input: unknown): Promise<{ apiKey: ApiKey; key: string }> {
  const { name, scopes } = parseOrThrow(newApiKey, input);
  const key = PREFIX + randomBytes(KEY_BYTES).toString('base64url');
  const [apiKey] = await db
    .insert(apiKeys)
    .values({ name, scopes, hash: hashOf(key) })
    .returning();
  return { apiKey: apiKey!, key };
}

/** Makes a key of the operator's own choice (from the configuration) valid, with every scope; idempotent. */
export async function ensureApiKey(db: Db, name: string, key: string): Promise<void> {
  await db
    .insert(apiKeys)
    .values({ name, scopes: [...SCOPES], hash: hashOf(key) })
    .onConflictDoUpdate({ target: apiKeys.hash, set: { revokedAt: null, scopes: [...SCOPES] } });
}

/** The holder of a key; null when it is unknown or revoked. */
export async function verifyApiKey(db: Db, key: string): Promise<VerifiedKey | null> {
  const hash = hashOf(key);
  const [row] = await db
    .select()
    .from(apiKeys)
    .where(and(eq(apiKeys.hash, hash), isNull(apiKeys.revokedAt)));
  if (!row || !timingSafeEqual(Buffer.from(row.hash, 'hex'), Buffer.from(hash, 'hex'))) return null;
  await db
    .update(apiKeys)
    .set({ lastUsedAt: sql`now()` })
    .where(
      and(
        eq(apiKeys.id, row.id),
        or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, sql`now() - ${LAST_USED_RESOLUTION}`)),
      ),
    );
  return { id: row.id, scopes: row.scopes };
}

/** True when some key could administer the server; a public server does not start without. */
export async function hasAdminKey(db: Db): Promise<boolean> {
  const rows = await db
    .select({ id: apiKeys.id })
    .from(apiKeys)
    .where(and(isNull(apiKeys.revokedAt), sql`'ADMIN' = any(${apiKeys.scopes})`))
    .limit(1);
  return rows.length > 0;
}

/** @throws AppError NOT_FOUND; CONFLICT when it was revoked before. */
export async function revokeApiKey(db: Db, id: string): Promise<ApiKey> {
  const [revoked] = await db
    .update(apiKeys)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
    .returning();
  if (revoked) return revoked;
  const [before] = await db.select().from(apiKeys).where(eq(apiKeys.id, id));
  if (!before) throw notFound('API key', id);
  throw new AppError(
    'CONFLICT',
    `API key "${before.name}" was revoked at ${before.revokedAt!.toISOString()}`,
  );
}

/** All keys, newest first; there are never many. */
export function listApiKeys(db: Db): Promise<ApiKey[]> {
  return db.select().from(apiKeys).orderBy(desc(apiKeys.createdAt), desc(apiKeys.id));
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** Bearer keys: shown once, stored as a hash, checked on every request. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { and, desc, eq, inArray, isNotNull, isNull, lt, ne, or, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Db, Executor } from '../db/client.ts';
import type { Notifications } from '../db/notifications.ts';
import { API_KEYS_CHANNEL, notifyKey } from '../db/queries/apiKeys.ts';
import { readByIds } from '../db/queries/byIds.ts';
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
/** Names the key of the configuration, which is that of the last start. */
const ENVIRONMENT_KEY = 'ADMIN_API_KEY';
/** `lastUsedAt` is written at most this often, so that reading does not mean writing. */
const LAST_USED_RESOLUTION = sql`interval '1 minute'`;

const newApiKey = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1, { message: 'name must not be empty' })
    .max(200, { message: 'name must have at most 200 characters' })
    .refine((name) => name !== ENVIRONMENT_KEY, {
      message: `name must not be ${ENVIRONMENT_KEY}, which is the key of the server's environment`,
    }),
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

/**
 * Makes the environment's key valid, with every scope, and every earlier one of the environment invalid: that of now, or
 * none, is the only one.
 */
export async function setEnvironmentKey(db: Db, key: string | null): Promise<void> {
  const hash = key === null ? null : hashOf(key);
  await db.transaction(async (tx) => {
    const earlier = await tx
      .update(apiKeys)
      .set({ revokedAt: sql`now()` })
      .where(
        and(
          eq(apiKeys.name, ENVIRONMENT_KEY),
          isNull(apiKeys.revokedAt),
          hash === null ? undefined : ne(apiKeys.hash, hash),
        ),
      )
      .returning({ id: apiKeys.id });
    for (const { id } of earlier) await notifyKey(tx, id, 'revoked');
    if (hash === null) return;
    const [row] = await tx
      .insert(apiKeys)
      .values({ name: ENVIRONMENT_KEY, scopes: [...SCOPES], hash })
      .onConflictDoUpdate({ target: apiKeys.hash, set: { revokedAt: null, scopes: [...SCOPES] } })
      .returning({ id: apiKeys.id });
    await notifyKey(tx, row!.id, 'restored');
  });
}

/** What is told of keys that something is open for. */
export interface KeyHolders {
  readonly keyIds: readonly string[];
  onRevoked(keyId: string): void;
  onRestored(keyId: string): void;
}

/** Tells `holders` of every revocation, on whichever replica; the returned function stops. */
export function followKeys(db: Db, notifications: Notifications, holders: KeyHolders): () => void {
  const lookAgain = async () => {
    const ids = [...holders.keyIds];
    if (ids.length === 0) return;
    const revoked = await db
      .select({ id: apiKeys.id })
      .from(apiKeys)
      .where(and(inArray(apiKeys.id, ids), isNotNull(apiKeys.revokedAt)));
    for (const { id } of revoked) holders.onRevoked(id);
  };
  return notifications.on(API_KEYS_CHANNEL, {
    onNotify(payload) {
      const [id, state] = payload.split(':');
      if (state === 'revoked') holders.onRevoked(id!);
      else holders.onRestored(id!);
    },
    // A connection lost in between is made again, and then this is called again.
    onConnect: () => void lookAgain().catch(() => undefined),
  });
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
  const revoked = await db.transaction(async (tx) => {
    const [row] = await tx
      .update(apiKeys)
      .set({ revokedAt: sql`now()` })
      .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
      .returning();
    if (row) await notifyKey(tx, id, 'revoked');
    return row;
  });
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

/** For each id its key, revoked or not, or null. */
export function apiKeysByIds(db: Executor, ids: readonly string[]): Promise<(ApiKey | null)[]> {
  return readByIds(db, apiKeys, apiKeys.id, ids);
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

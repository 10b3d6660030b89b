/** `DATABASE_URL`: what is wrong with one, without repeating any of it, and the schema that it names. */

const FORM = 'accepts postgres://user:password@host:port/database';
const ENCODE =
  'percent-encode what is special in a user or password (/ is %2F, @ is %40, # is %23, ? is %3F, % is %25)';
/** Parameters that say how to reach the server; `pg` would take any other for a setting of its own, in silence. */
const PARAMETERS = new Set([
  ...['schema', 'options', 'application_name', 'client_encoding', 'host', 'port', 'keepalives'],
  ...['ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert', 'sslnegotiation', 'uselibpqcompat'],
]);
const SCHEMA = 'schema';
/** Postgres cuts longer names off. */
const MAX_NAME_BYTES = 63;

/** What is wrong with an address of Postgres, worded to follow "it"; null if it can be used. Repeats no part of it. */
export function findUrlFault(text: string): string | null {
  if (!/^postgres(ql)?:\/\//.test(text)) return FORM;
  if (text.trim() !== text) return `${FORM}; this one begins or ends in a blank or a line break: remove it`;
  // The URL parser would drop them without a word.
  if (hasControlCharacter(text)) return `${FORM}; this one contains a control character: ${ENCODE}`;
  const beyondAuthority = text.replace(/^postgres(ql)?:\/\/[^/?#]*/, '');
  if (/[@#]/.test(beyondAuthority)) return `${FORM}; this one has an @ or # behind its host: ${ENCODE}`;
  const url = parse(text);
  if (!url) return `${FORM}; this one has no such form: ${ENCODE}`;
  if ((url.pathname.match(/\//g) ?? []).length > 1)
    return `${FORM}; this one has more than a database behind its host: ${ENCODE}`;
  const unknown = [...url.searchParams.keys()].some((name) => !PARAMETERS.has(name));
  if (unknown) return `accepts the parameters ${[...PARAMETERS].join(', ')} behind the ?, and no others`;
  return findSchemaFault(url);
}

/** The schema that `?schema=` names; null where the search path decides. */
export function schemaOf(connectionString: string): string | null {
  return parse(connectionString)?.searchParams.get(SCHEMA) ?? null;
}

/** The same address with this schema named. */
export function withSchema(connectionString: string, schema: string): string {
  if (schemaOf(connectionString) === schema) return connectionString;
  const separator = connectionString.includes('?') ? '&' : '?';
  return `${connectionString}${separator}${SCHEMA}=${encodeURIComponent(schema)}`;
}

function findSchemaFault(url: URL): string | null {
  const schemas = url.searchParams.getAll(SCHEMA);
  if (schemas.length > 1) return 'accepts one schema';
  const [schema] = schemas;
  if (schema === undefined) return null;
  if (schema === '' || Buffer.byteLength(schema) > MAX_NAME_BYTES)
    return `accepts a schema of 1–${MAX_NAME_BYTES} bytes`;
  if (/^pg_|^(information_schema|drizzle|graphile_worker)$/.test(schema))
    return 'accepts any schema but Postgres’ own, drizzle and graphile_worker';
  return null;
}

/** Null also where a piece is not well encoded. */
function parse(text: string): URL | null {
  try {
    const url = new URL(text);
    for (const piece of [url.username, url.password, url.pathname]) decodeURIComponent(piece);
    return url;
  } catch {
    return null;
  }
}

function hasControlCharacter(text: string): boolean {
  return [...text].some((character) => character < ' ' || character === '\x7f');
}

/** Scalars beyond GraphQL's own. */
import { GraphQLError, GraphQLScalarType, Kind, print } from 'graphql';
import { builder } from './builder.ts';

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType({
    name: 'DateTime',
    description: 'An instant in ISO 8601, UTC, milliseconds: `2026-01-31T09:30:00.000Z`.',
    specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
    serialize: (value) => (value as Date).toISOString(),
    parseValue: readInstant,
    parseLiteral: (node) => readInstant(node.kind === Kind.STRING ? node.value : print(node)),
  }),
);

builder.addScalarType(
  'Upload',
  new GraphQLScalarType({
    name: 'Upload',
    description:
      'A file sent with the request, as in the GraphQL multipart request specification (`operations`, `map`, one part a file).',
    specifiedByURL: 'https://github.com/jaydenseric/graphql-multipart-request-spec',
    parseValue(value) {
      if (isFile(value)) return value;
      throw new TypeError('Upload accepts a file of a multipart request');
    },
    parseLiteral() {
      throw new TypeError('Upload accepts a variable bound to a file of a multipart request, not a literal');
    },
  }),
);

/** The years that Postgres and ISO 8601 write alike. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

function readInstant(value: unknown): Date {
  const date = new Date(typeof value === 'string' && INSTANT.test(value) ? value : Number.NaN);
  if (date.getTime() >= Date.parse('0001-01-01') && date.getTime() < Date.parse('9999-12-31')) return date;
  const shown = JSON.stringify(value)?.slice(0, 100);
  throw new GraphQLError(
    `DateTime accepts an instant such as "2026-01-31T09:30:00.000Z", with its offset from UTC; got ${shown}`,
  );
}

/** By its looks: the transport brings a `File` class of its own. */
function isFile(value: unknown): boolean {
  const file = value as Partial<File> | null;
  return typeof file?.name === 'string' && typeof file.stream === 'function';
}

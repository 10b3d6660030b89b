/** Scalars beyond GraphQL's own. */
import { GraphQLScalarType } from 'graphql';
import { builder } from './builder.ts';

builder.addScalarType(
  'DateTime',
  new GraphQLScalarType({
    name: 'DateTime',
    description: 'An instant in ISO 8601, UTC, milliseconds: `2026-01-31T09:30:00.000Z`.',
    specifiedByURL: 'https://scalars.graphql.org/andimarek/date-time.html',
    serialize: (value) => (value as Date).toISOString(),
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

/** By its looks: the transport brings a `File` class of its own. */
function isFile(value: unknown): boolean {
  const file = value as Partial<File> | null;
  return typeof file?.name === 'string' && typeof file.stream === 'function';
}

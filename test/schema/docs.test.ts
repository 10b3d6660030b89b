import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Kind, parse, validate } from 'graphql';
import { expect, it } from 'vitest';
import { buildSchema } from '../../src/schema/schema.ts';

it('every operation that the README shows is one that the API takes', async () => {
  const readme = await readFile(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
  const blocks = [...readme.matchAll(/```graphql\n([\s\S]*?)```/g)].map(([, text]) => text!);
  const operations = blocks.flatMap((text) => parse(text).definitions);
  expect(operations.length).toBeGreaterThan(8);
  const schema = buildSchema();
  const wrong = operations.flatMap((definition) =>
    validate(schema, { kind: Kind.DOCUMENT, definitions: [definition] }).map(({ message }) => message),
  );
  expect(wrong).toEqual([]);
});

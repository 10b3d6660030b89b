/** Writes `schema.graphql`; a test compares it with the schema as built. */
import { writeFileSync } from 'node:fs';
import { buildSchema, renderSchema } from '../src/schema/schema.ts';

writeFileSync(new URL('../schema.graphql', import.meta.url), renderSchema(buildSchema()));

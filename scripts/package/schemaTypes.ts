/** `alignsae-server/schema`: the schema as TypeScript types, for programs that call the API. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codegen } from '@graphql-codegen/core';
import * as typescript from '@graphql-codegen/typescript';
import { parse } from 'graphql';
import { ROOT } from '../page/documents.ts';

export async function writeSchemaTypes(target: string): Promise<void> {
  const types = await codegen({
    schema: parse(readFileSync(join(ROOT, 'schema.graphql'), 'utf8')),
    documents: [],
    filename: target,
    config: {},
    pluginMap: { typescript },
    plugins: [
      {
        typescript: {
          enumsAsTypes: true,
          scalars: SCALARS,
          maybeValue: 'T | null',
          noExport: false,
        },
      },
    ],
  });
  writeFileSync(target, types);
}

/** As they travel in JSON. */
const SCALARS = { ID: 'string', DateTime: 'string' };

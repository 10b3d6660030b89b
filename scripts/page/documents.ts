/** `web/src/api/documents.ts`: the page's operations, each typed by what the schema says that it answers. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codegen } from '@graphql-codegen/core';
import * as operations from '@graphql-codegen/typescript-operations';
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  Kind,
  type OperationDefinitionNode,
  parse,
  print,
  stripIgnoredCharacters,
  visit,
} from 'graphql';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TARGET = join(ROOT, 'web/src/api/documents.ts');

/**
 * Writes the file anew from `web/src/**\/*.graphql` and `schema.graphql`.
 * @throws Error when an operation does not fit the schema, with its place.
 */
export async function writeDocuments(): Promise<void> {
  const documents = readdirSync(join(ROOT, 'web/src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.graphql'))
    .sort()
    .map((name) => ({
      location: name,
      document: parse(readFileSync(join(ROOT, 'web/src', name), 'utf8')),
    }));
  const types = await codegen({
    schema: parse(readFileSync(join(ROOT, 'schema.graphql'), 'utf8')),
    documents,
    filename: TARGET,
    config: {},
    pluginMap: { operations },
    plugins: [
      {
        operations: {
          skipTypename: true,
          scalars: { DateTime: 'string', ID: 'string' },
          maybeValue: 'T | null',
        },
      },
    ],
  });
  const text = [
    '// Made by scripts/page/documents.ts from the .graphql files beside it.',
    `import type { TypedDocument } from './graphql.ts';`,
    types,
    ...writeOperations(documents.map(({ document }) => document)),
  ].join('\n');
  mkdirSync(dirname(TARGET), { recursive: true });
  writeFileSync(TARGET, text);
}

function writeOperations(documents: DocumentNode[]): string[] {
  const definitions = documents.flatMap(({ definitions }) => definitions);
  const fragments = new Map(
    definitions.flatMap((d) => (d.kind === Kind.FRAGMENT_DEFINITION ? [[d.name.value, d] as const] : [])),
  );
  return definitions.flatMap((d) =>
    d.kind === Kind.OPERATION_DEFINITION ? [writeOperation(d, fragments)] : [],
  );
}

function writeOperation(
  operation: OperationDefinitionNode,
  fragments: Map<string, FragmentDefinitionNode>,
): string {
  const name = operation.name!.value;
  const kind = operation.operation[0]!.toUpperCase() + operation.operation.slice(1);
  const used = [...fragmentsIn(operation, fragments, new Set())].map((key) => fragments.get(key)!);
  const text = stripIgnoredCharacters([operation, ...used].map(print).join('\n'));
  return `export const ${name} = ${JSON.stringify(text)} as TypedDocument<${name}${kind}, ${name}${kind}Variables>;`;
}

function fragmentsIn(
  node: OperationDefinitionNode | FragmentDefinitionNode,
  fragments: Map<string, FragmentDefinitionNode>,
  found: Set<string>,
): Set<string> {
  visit(node, {
    FragmentSpread({ name: { value } }) {
      if (found.has(value)) return;
      found.add(value);
      fragmentsIn(fragments.get(value)!, fragments, found);
    },
  });
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeDocuments();

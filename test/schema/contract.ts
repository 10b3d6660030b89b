/** The operations that clients were promised, by name. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Kind, type OperationDefinitionNode, parse, print } from 'graphql';

export interface ContractOperation {
  file: string;
  name: string;
  text: string;
}

const folder = fileURLToPath(new URL('../contract/', import.meta.url));

export function contractOperations(): ContractOperation[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.graphql'));
  return files.flatMap((file) =>
    parse(readFileSync(folder + file, 'utf8')).definitions.map((definition) => {
      if (definition.kind !== Kind.OPERATION_DEFINITION) throw new Error(`${file} has a ${definition.kind}`);
      return { file, name: nameOf(definition), text: print(definition) };
    }),
  );
}

/** Text of the operation of this name. */
export function contract(name: string): string {
  const operation = contractOperations().find((candidate) => candidate.name === name);
  if (!operation) throw new Error(`the contract has no operation ${name}`);
  return operation.text;
}

function nameOf(definition: OperationDefinitionNode): string {
  return definition.name!.value;
}

/** Queries that are asked again and again are compiled, which answers long lists in half the time. */
import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
  getVariableValues,
  type OperationDefinitionNode,
} from 'graphql';
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../schema/context.ts';

/** Compiling costs as much as a few answers, and most documents of people at a keyboard are asked once. */
const ASKED_BEFORE = 2;
/** What is compiled takes some 100 kB. */
const MOST_COMPILED = 100;

/** `none`: the compiler refuses it. */
interface Asked {
  times: number;
  compiled: CompiledQuery | 'none' | null;
}

/** The same answers as otherwise: mutations, and variables that are refused, are left to the usual executor. */
export function useCompiled(): Plugin<Context> {
  // Yoga gives the same object for the same text, as long as it remembers it.
  const known = new WeakMap<DocumentNode, Map<string, Asked>>();
  const compiled = new Set<Asked>();
  return {
    onExecute({ args, setExecuteFn }) {
      const operation = getOperationAST(args.document, args.operationName);
      if (operation?.operation !== 'query') return;
      const asked = remember(known, args);
      asked.times += 1;
      if (asked.times <= ASKED_BEFORE || !isAcceptable(args, operation)) return;
      asked.compiled ??= compile(args);
      if (asked.compiled === 'none') return;
      keep(compiled, asked);
      const { query } = asked.compiled;
      setExecuteFn(async () =>
        placed(await query(args.rootValue, args.contextValue, args.variableValues), args.document),
      );
    },
  };
}

/** The compiler words otherwise what is wrong with a variable. */
function isAcceptable(
  { schema, variableValues }: ExecutionArgs,
  { variableDefinitions = [] }: OperationDefinitionNode,
): boolean {
  return !getVariableValues(schema, variableDefinitions, variableValues ?? {}).errors;
}

function remember(known: WeakMap<DocumentNode, Map<string, Asked>>, args: ExecutionArgs): Asked {
  const own = known.get(args.document) ?? new Map<string, Asked>();
  known.set(args.document, own);
  const name = args.operationName ?? '';
  const asked = own.get(name) ?? { times: 0, compiled: null };
  own.set(name, asked);
  return asked;
}

function compile({ schema, document, operationName }: ExecutionArgs): CompiledQuery | 'none' {
  const result = compileQuery(schema, document, operationName ?? undefined, {
    useExperimentalPathBasedSkipInclude: true,
  });
  return isCompiledQuery(result) ? result : 'none';
}

/** The last that were asked stay; another has to be asked as often as a new one before it is compiled again. */
function keep(compiled: Set<Asked>, asked: Asked): void {
  compiled.delete(asked);
  compiled.add(asked);
  if (compiled.size <= MOST_COMPILED) return;
  const [oldest] = compiled;
  compiled.delete(oldest!);
  Object.assign(oldest!, { times: 0, compiled: null });
}

/** With errors that know their places as others do: by the document, from which Yoga finds lines and columns anew. */
function placed(result: ExecutionResult, { loc }: DocumentNode): ExecutionResult {
  if (!result.errors || !loc) return result;
  const ends = [...loc.source.body.matchAll(/\r\n|[\n\r]/g)];
  const starts = [0, ...ends.map((end) => end.index + end[0].length)];
  const errors = result.errors.map(
    ({ message, locations, path, originalError, extensions }) =>
      new GraphQLError(message, {
        source: loc.source,
        positions: locations?.map(({ line, column }) => starts[line - 1]! + column - 1),
        ...{ path, originalError, extensions },
      }),
  );
  return { ...result, errors };
}

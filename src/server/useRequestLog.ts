/** One JSON line an operation, with the request id that its error messages carry too. */
import type { ExecutionArgs } from 'graphql';
import { getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';

/** Queries and mutations; subscriptions are told of where they are opened. */
export function useRequestLog(log: Logger): Plugin<Context> {
  return {
    onExecute({ args }) {
      const finish = startLine(log, args);
      return {
        onExecuteDone: ({ result }) => finish((result as { errors?: unknown[] }).errors?.length ?? 0),
      };
    },
  };
}

/** Begins the line of an operation; the returned function writes it, with the number of errors. */
export function startLine(log: Logger, args: ExecutionArgs): (errors: number) => void {
  const started = performance.now();
  const line = describeOperation(args);
  return (errors) => log.info({ ...line, errors, ms: Math.round(performance.now() - started) }, 'operation');
}

export function describeOperation(args: ExecutionArgs): object {
  const operation = getOperationAST(args.document, args.operationName);
  const { requestId, viewer } = args.contextValue as Context;
  return {
    requestId,
    client: viewer.clientId,
    operation: operation?.operation,
    name: operation?.name?.value,
  };
}

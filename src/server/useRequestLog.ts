/** One JSON line an operation, with the request id that its error messages carry too. */
import type { ExecutionArgs } from 'graphql';
import { getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';

export function useRequestLog(log: Logger): Plugin<Context> {
  const describe = (args: ExecutionArgs) => {
    const operation = getOperationAST(args.document, args.operationName);
    const { requestId, viewer } = args.contextValue as Context;
    return {
      requestId,
      client: viewer.clientId,
      operation: operation?.operation,
      name: operation?.name?.value,
    };
  };
  const onStart = ({ args }: { args: ExecutionArgs }) => {
    const started = performance.now();
    const line = describe(args);
    const finish = (result: unknown) => {
      const errors = (result as { errors?: unknown[] }).errors?.length ?? 0;
      log.info({ ...line, errors, ms: Math.round(performance.now() - started) }, 'operation');
    };
    return { line, finish };
  };
  return {
    onExecute({ args }) {
      const { finish } = onStart({ args });
      return { onExecuteDone: ({ result }) => finish(result) };
    },
    onSubscribe({ args }) {
      const { line, finish } = onStart({ args });
      log.info(line, 'subscribed');
      return { onSubscribeResult: () => ({ onEnd: () => finish({}) }) };
    },
  };
}

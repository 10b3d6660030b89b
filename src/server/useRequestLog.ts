/** One JSON line an operation, with the request id that its error messages carry too. */
import { SpanStatusCode, trace } from '@opentelemetry/api';
import type { ExecutionArgs } from 'graphql';
import { getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from '../log.ts';
import type { Context } from '../schema/context.ts';
import { operations } from '../telemetry.ts';

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

/** Begins the line and the span of an operation; the returned function ends both, with the number of errors. */
export function startLine(log: Logger, args: ExecutionArgs): (errors: number) => void {
  const started = performance.now();
  const line = describeOperation(args);
  const { operation = 'none', name, requestId } = line;
  const span = trace.getTracer('alignsae').startSpan(name ? `${operation} ${name}` : operation, {
    attributes: {
      'graphql.operation.type': operation,
      'graphql.operation.name': name,
      'alignsae.request.id': requestId,
    },
  });
  return (errors) => {
    const ms = performance.now() - started;
    operations.tell({ operation, errors, ms });
    span.setAttribute('alignsae.errors', errors);
    if (errors > 0) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
    log.info({ ...line, errors, ms: Math.round(ms) }, 'operation');
  };
}

export function describeOperation(args: ExecutionArgs) {
  const operation = getOperationAST(args.document, args.operationName);
  const { requestId, viewer } = args.contextValue as Context;
  return {
    requestId,
    client: viewer.clientId,
    operation: operation?.operation,
    name: operation?.name?.value,
  };
}

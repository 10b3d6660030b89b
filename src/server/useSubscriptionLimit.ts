/** Bounds how many subscriptions one client holds at once, over graphql-ws and SSE together. */
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Context } from '../schema/context.ts';

export function useSubscriptionLimit(limit: number): Plugin<Context> {
  const open = new Map<string, number>();
  return {
    onSubscribe({ args, setResultAndStopExecution }) {
      const { clientId } = (args.contextValue as Context).viewer;
      const count = open.get(clientId) ?? 0;
      if (count >= limit) {
        const message = `A client may hold ${limit} subscriptions at once (MAX_SUBSCRIPTIONS): close one first.`;
        setResultAndStopExecution({
          errors: [new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED' } })],
        });
        return;
      }
      open.set(clientId, count + 1);
      const release = once(() => {
        const left = (open.get(clientId) ?? 1) - 1;
        if (left > 0) open.set(clientId, left);
        else open.delete(clientId);
      });
      return {
        onSubscribeResult({ result }) {
          if (!(Symbol.asyncIterator in (result as object))) release();
          return { onEnd: release };
        },
        onSubscribeError: release,
      };
    },
  };
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

/** Subscriptions, over HTTP and WebSocket alike, as streams that transports send at their clients' pace. */
import type { ExecutionArgs } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from '../../log.ts';
import type { Context } from '../../schema/context.ts';
import { subscriptions } from '../../telemetry.ts';
import type { KeyWatch } from '../keyWatch.ts';
import { describeOperation, startLine } from '../useRequestLog.ts';
import { LiveStream } from './liveStream.ts';
import type { Mask } from './render.ts';
import { SubscriptionLimit } from './subscriptionLimit.ts';

export interface LiveStreamOptions {
  /** Subscriptions that one client may hold at once. */
  limit: number;
  log: Logger;
  mask: Mask;
  keys: KeyWatch;
}

/** The result of every subscription is a `LiveStream`, or a result with errors. */
export function useLiveStreams({ limit, log, mask, keys }: LiveStreamOptions): Plugin<Context> {
  const places = new SubscriptionLimit(limit);
  const open = async (args: ExecutionArgs) => {
    const { viewer } = args.contextValue as Context;
    const finish = startLine(log, args);
    const release = places.take(viewer.clientId);
    const stream = await LiveStream.open(args, mask).catch((error: unknown) => {
      release();
      throw error;
    });
    if (!(stream instanceof LiveStream)) {
      release();
      finish(stream.errors?.length ?? 0);
      return stream;
    }
    log.info(describeOperation(args), 'subscribed');
    subscriptions.tell(1);
    const forget = keys.watch(viewer, (reason) => stream.fail(reason));
    stream.onClose(() => {
      forget();
      subscriptions.tell(-1);
      release();
      finish(0);
    });
    return stream;
  };
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(open);
    },
  };
}

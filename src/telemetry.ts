/** What happens, told to whoever measures it; costs next to nothing while nobody does. */
import { channel } from 'node:diagnostics_channel';

/** An answer over HTTP is through, or its connection is gone. */
export interface RequestEnd {
  /** Which of the server's paths, of a fixed list. */
  route: string;
  status: number;
  ms: number;
}

/** A GraphQL operation ended. */
export interface OperationEnd {
  operation: 'query' | 'mutation' | 'subscription' | 'none';
  errors: number;
  ms: number;
}

/** Events of a run were read on their way to subscribers. */
export interface EventsRead {
  /** Age of the newest. */
  lagMs: number;
}

/** 1 where a subscription was opened, -1 where one was closed. */
export type SubscriptionChange = 1 | -1;

export const requests = topic<RequestEnd>('request');
export const operations = topic<OperationEnd>('operation');
export const subscriptions = topic<SubscriptionChange>('subscription');
export const eventReads = topic<EventsRead>('events');

function topic<T>(name: string) {
  const told = channel(`alignsae:${name}`);
  return {
    tell(message: T): void {
      if (told.hasSubscribers) told.publish(message);
    },
    /** The returned function ends it. */
    listen(listener: (message: T) => void): () => void {
      const onMessage = (message: unknown) => listener(message as T);
      told.subscribe(onMessage);
      return () => void told.unsubscribe(onMessage);
    },
  };
}

/** `alignsae-server/follow` in Node, of which older versions have no WebSocket of their own. */
import { WebSocket } from 'ws';
import { createFollowClient } from './entry.ts';

export type { ConnectOptions } from './connect.ts';
export { FollowError } from './errors.ts';
export type { Following } from './follow.ts';

export const { connect, follow } = createFollowClient(WebSocket);

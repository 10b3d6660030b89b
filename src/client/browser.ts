/** `alignsae-server/follow` in a browser. */
import { createFollowClient } from './entry.ts';

export type { ConnectOptions } from './connect.ts';
export { FollowError } from './errors.ts';
export type { Following } from './follow.ts';

export const { connect, follow } = createFollowClient(undefined);

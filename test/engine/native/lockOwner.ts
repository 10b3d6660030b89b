/** Holds the lock on the directory named by its argument, and says so, until it is killed. */
import { withLock } from '../../../src/engine/native/lock.ts';

const wait = () => {
  throw new Error('the lock is taken');
};
await withLock(process.argv[2]!, wait, async () => {
  process.send!('held');
  await new Promise(() => setInterval(() => {}, 1000));
});

/** A process that loads the backend it is told to, multiplies, and answers what it found. */
import { matMul, tensor2d } from '@tensorflow/tfjs-core';
import type { NativeAddon } from '../../../src/engine/contract/native.ts';
import type { BackendChoice } from '../../../src/engine/contract/protocol.ts';
import { loadBackend } from '../../../src/engine/native/backend.ts';

process.once('message', async ({ choice, addon }: { choice: BackendChoice; addon: NativeAddon }) => {
  const info = await loadBackend(choice, addon);
  const product = matMul(tensor2d([1, 2, 3, 4], [2, 2]), tensor2d([5, 6, 7, 8], [2, 2])).arraySync();
  const handlers = process.listenerCount('uncaughtException') + process.listenerCount('unhandledRejection');
  process.send!({ info, product, handlers }, () => process.disconnect());
});

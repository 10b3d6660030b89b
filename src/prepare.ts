/** `npm run native`, `alignsae-server --prepare`: prepares the native engine ahead of the first start, and says what came of it. */
import { readConfig } from './config.ts';
import { prepareNative } from './engine/native/build.ts';

const { cacheDir, tensorflowDir } = readConfig();
const log = (message: string) => console.log(`native: ${message}`);
const addon = await prepareNative({ cacheDir, tensorflowDir, environment: process.env, log });
if (addon.available) {
  const devices = addon.gpus.length > 0 ? addon.gpus.join(', ') : 'CPU';
  console.log(`TensorFlow ${addon.tensorflowVersion} for ${devices}: ${addon.path}`);
} else {
  console.error(`The server will use the slower wasm engine. ${addon.reason}`);
  process.exitCode = 1;
}

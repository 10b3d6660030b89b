/** The backend that a measurement of the engine alone runs on. */
import { nativeEnvironment } from '../src/engine/contract/native.ts';
import type { BackendChoice, BackendInfo } from '../src/engine/contract/protocol.ts';
import { loadBackend } from '../src/engine/native/backend.ts';
import { prepareNative } from '../src/engine/native/build.ts';

/** Builds the native engine in `cacheDir` if need be and loads the backend into this process. */
export async function loadBenchBackend(choice: BackendChoice, cacheDir: string): Promise<BackendInfo> {
  Object.assign(process.env, nativeEnvironment({ available: false, reason: '' }, process.env));
  const log = (message: string) => console.error(message);
  const addon = await prepareNative({ cacheDir, tensorflowDir: null, environment: process.env, log });
  return loadBackend(choice, addon);
}

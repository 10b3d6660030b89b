/** Once for the whole suite: the native engine, built if it is not in the cache yet. */
import type { TestProject } from 'vitest/node';
import { readConfig } from '../../src/config.ts';
import type { NativeAddon } from '../../src/engine/contract/native.ts';
import { prepareNative } from '../../src/engine/native/build.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** What `loadBackend` takes, and what the host passes on to an engine child. */
    native: NativeAddon;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const { cacheDir, tensorflowDir } = readConfig();
  const log = (message: string) => console.log(`native: ${message}`);
  const native = await prepareNative({ cacheDir, tensorflowDir, environment: process.env, log });
  if (!native.available) log(`the suite runs on wasm: ${native.reason}`);
  project.provide('native', native);
}

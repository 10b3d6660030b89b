import { inject } from 'vitest';
import type { BackendChoice, BackendInfo } from '../../src/engine/contract/protocol.ts';
import { loadBackend } from '../../src/engine/native/backend.ts';

/** Loads the tensor backend into this test file's process: the native one where it could be built, or else wasm. */
export function loadTestBackend(choice: BackendChoice = 'auto'): Promise<BackendInfo> {
  return loadBackend(choice, inject('native'));
}

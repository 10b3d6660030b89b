/** Chooses and loads the tensor backend of an engine child; afterwards every tfjs-core op runs on it. */
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import {
  findBackendFactory,
  type KernelBackend,
  ready,
  registerBackend,
  setBackend,
} from '@tensorflow/tfjs-core';
import { AppError } from '../../errors.ts';
import type { NativeAddon } from '../contract/native.ts';
import type { ProductChoice } from '../contract/products.ts';
import type { BackendChoice, BackendInfo } from '../contract/protocol.ts';
import { restoreUtilFunctions } from './nodeCompat.ts';
import { attribute, type NativeBinding, rawOps } from './rawOps.ts';
import { requireOfTfjsNode } from './tfjsNode.ts';
import { registerWasmKernels } from './wasmKernels.ts';

const require = createRequire(import.meta.url);

/**
 * Loads the backend that `choice` asks for: `auto` takes the native addon if it was built and loads, or else wasm
 * with the reason in `fallbackReason`.
 * @throws AppError UNAVAILABLE when `choice` is `native` and the addon cannot be used; the message says what to do.
 */
export async function loadBackend(choice: BackendChoice, addon: NativeAddon): Promise<BackendInfo> {
  if (choice === 'wasm') return loadWasm('The wasm backend was asked for.');
  if (addon.available) {
    try {
      return await loadNative(addon);
    } catch (error) {
      return refuseOrFallBack(choice, `${addon.path} does not load: ${(error as Error).message}`);
    }
  }
  return refuseOrFallBack(choice, addon.reason);
}

function refuseOrFallBack(choice: BackendChoice, reason: string): Promise<BackendInfo> {
  if (choice === 'auto') return loadWasm(reason);
  throw new AppError(
    'UNAVAILABLE',
    `The native backend was asked for and is not available: ${reason}\nRun \`npm run native\` to build it, or let the backend be chosen automatically.`,
  );
}

async function loadNative(addon: NativeAddon & { available: true }): Promise<BackendInfo> {
  restoreUtilFunctions();
  const binding = require(addon.path) as NativeBinding;
  // The package's index would look for the addon inside node_modules; these two modules are the rest of it.
  requireOfTfjsNode('dist/register_all_kernels');
  const { NodeJSKernelBackend } = requireOfTfjsNode('dist/nodejs_kernel_backend') as {
    NodeJSKernelBackend: new (binding: NativeBinding, packageName: string) => KernelBackend;
  };
  if (!findBackendFactory('tensorflow')) {
    registerBackend('tensorflow', () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu'));
  }
  await activate('tensorflow');
  chooseProducts(addon.products);
  return {
    backend: 'tensorflow',
    tensorflowVersion: binding.TF_Version,
    devices: binding.isUsingGpuDevice() ? addon.gpus.map((name) => ({ name, kind: 'GPU' })) : [cpu()],
    fallbackReason: null,
    products: addon.products,
  };
}

/** Tells the kernels which implementation was measured to be the fastest for each kind of shape. */
function chooseProducts(products: readonly ProductChoice[]): void {
  for (const [shape, { trials }] of products.entries()) {
    const implementation = trials.findIndex(({ chosen }) => chosen);
    const attributes = [attribute.int('shape', shape), attribute.int('implementation', implementation)];
    rawOps('AlignsaeChooseProduct', attributes, [], 0);
  }
}

async function loadWasm(reason: string): Promise<BackendInfo> {
  // The union package registers the gradients of all ops; the core does not, and tfjs-node brings it along.
  await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-wasm');
  registerWasmKernels();
  await withoutNewListeners(() => activate('wasm'));
  return { backend: 'wasm', tensorflowVersion: null, devices: [cpu()], fallbackReason: reason, products: [] };
}

/**
 * Takes away the process-wide error handlers that the wasm module installs while it loads: they rethrow what anybody
 * else throws from a file of one line, which Node then prints whole.
 */
async function withoutNewListeners(load: () => Promise<void>): Promise<void> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => new Set(process.listeners(event as 'uncaughtException')));
  await load();
  for (const [i, event] of events.entries()) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before[i]!.has(listener)) process.removeListener(event, listener);
    }
  }
}

async function activate(backend: 'tensorflow' | 'wasm'): Promise<void> {
  if (!(await setBackend(backend))) throw new Error(`the ${backend} backend does not initialize`);
  await ready();
}

function cpu(): BackendInfo['devices'][number] {
  return { name: cpus()[0]?.model.trim() ?? 'CPU', kind: 'CPU' };
}

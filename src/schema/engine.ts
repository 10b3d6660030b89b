/** The engine: what computes, what waits, and who works. */
import {
  type ProductChoice as Choice,
  productShape,
  type ProductTrial as Trial,
} from '../engine/contract/products.ts';
import type { BackendInfo } from '../engine/contract/protocol.ts';
import { countQueue, listWorkers, readBackend, runsOfWorkers, workersByIds } from '../services/engine.ts';
import { builder } from './builder.ts';
import { RunRef, WorkerRef } from './refs.ts';
import { enumFrom } from './settings.ts';

export const EngineBackend = builder.enumType('EngineBackend', {
  description: 'The library that multiplies the matrices.',
  values: {
    TENSORFLOW: { description: 'Native TensorFlow, on CPU or GPU.' },
    WASM: { description: 'The portable fallback; everything works, several times slower.' },
  },
});

const DeviceKind = builder.enumType('DeviceKind', {
  description: 'What kind of processor a device is.',
  values: {
    CPU: { description: 'Central processor.' },
    GPU: { description: 'Graphics processor (NVIDIA, by way of CUDA).' },
  },
});

const Device = builder.objectRef<BackendInfo['devices'][number]>('Device').implement({
  description: 'A processor that the engine can use.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name by which the backend knows it.' }),
    kind: t.field({ type: DeviceKind, description: 'CPU or GPU.', resolve: (device) => device.kind }),
  }),
});

const ProductTrial = builder.objectRef<Trial>('ProductTrial').implement({
  description:
    'One way to multiply matrices, and its speed with one kind of shape. All give the same numbers.',
  fields: (t) => ({
    rows: t.exposeInt('rows', { description: 'Rows of the result that are kept in registers at once.' }),
    columns: t.exposeInt('columns', {
      description: 'Columns of the result that are kept in registers at once.',
    }),
    panelBytes: t.exposeInt('panelBytes', {
      description: 'Bytes of the right matrix that are meant to stay in the second-level cache.',
    }),
    gigaflops: t.exposeFloat('gigaflops', {
      description:
        'Billions of operations in a second of processor time of one core, measured when the engine was built.',
    }),
    chosen: t.exposeBoolean('chosen', {
      description:
        'Whether products of this kind are computed so: the first, unless another was faster by 5 %.',
    }),
  }),
});

const ProductChoice = builder.objectRef<Choice>('ProductChoice').implement({
  description: 'How products of one kind are computed.',
  fields: (t) => ({
    shape: t.field({ type: enumFrom(productShape), description: 'The kind.', resolve: ({ shape }) => shape }),
    trials: t.field({
      type: [ProductTrial],
      description: 'The ways that were tried.',
      resolve: ({ trials }) => trials,
    }),
  }),
});

const Queue = builder.objectRef<{ queued: number; running: number }>('Queue').implement({
  description: 'How much work there is, over all workers.',
  fields: (t) => ({
    queued: t.exposeInt('queued', { description: 'Runs that wait for a worker.' }),
    running: t.exposeInt('running', { description: 'Runs that are being worked on.' }),
  }),
});

const backendFields = {
  backend: 'The library that computes.',
  tensorflowVersion: 'Version of TensorFlow; null where it is not used.',
  devices: 'The processors it can use.',
  fallbackReason: 'Why TensorFlow is not in use; null when it is.',
  products:
    'How the processor multiplies matrices, by kind of product, chosen by what was measured when the engine was built there; empty on GPUs and on wasm.',
};

const Engine = builder.objectRef<BackendInfo>('Engine').implement({
  description:
    'What does the computing for this server. The backend is that of the longest-serving worker; where no worker is alive, that of the process that answers.',
  fields: (t) => ({
    backend: t.field({ type: EngineBackend, description: backendFields.backend, resolve: backendOf }),
    tensorflowVersion: t.exposeString('tensorflowVersion', {
      nullable: true,
      description: backendFields.tensorflowVersion,
    }),
    devices: t.field({
      type: [Device],
      description: backendFields.devices,
      resolve: (info) => info.devices,
    }),
    fallbackReason: t.exposeString('fallbackReason', {
      nullable: true,
      description: backendFields.fallbackReason,
    }),
    products: t.field({
      type: [ProductChoice],
      description: backendFields.products,
      resolve: (info) => [...info.products],
    }),
    queue: t.field({
      type: Queue,
      description: 'How much work there is.',
      resolve: (_info, _args, { db }) => countQueue(db),
    }),
    workers: t.field({
      type: [WorkerRef],
      description: 'The worker processes that are alive, on whatever machine, oldest first.',
      resolve: (_info, _args, { db }) => listWorkers(db),
    }),
  }),
});

builder.node(WorkerRef, {
  description: 'A process that takes runs from the queue and works on them.',
  id: { resolve: (worker) => worker.id },
  loadOne: (id, { loaders }) => loaders.load(workersByIds, id),
  fields: (t) => ({
    hostname: t.exposeString('hostname', { description: 'The machine it runs on.' }),
    pid: t.exposeInt('pid', { description: 'Its process id on that machine.' }),
    backend: t.field({ type: EngineBackend, description: backendFields.backend, resolve: backendOf }),
    tensorflowVersion: t.exposeString('tensorflowVersion', {
      nullable: true,
      description: backendFields.tensorflowVersion,
    }),
    devices: t.field({
      type: [Device],
      description: backendFields.devices,
      resolve: (worker) => worker.devices,
    }),
    fallbackReason: t.exposeString('fallbackReason', {
      nullable: true,
      description: backendFields.fallbackReason,
    }),
    products: t.field({
      type: [ProductChoice],
      description: backendFields.products,
      resolve: (worker) => [...worker.products],
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it started.' }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      description: 'When it last reported; every two seconds while it is well.',
    }),
    endedAt: t.expose('endedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it left, or was found dead; null while it is alive.',
    }),
    runs: t.field({
      type: [RunRef],
      description: 'The runs that it is working on.',
      resolve: (worker, _args, { loaders }) => loaders.load(runsOfWorkers, worker.id),
    }),
  }),
});

builder.queryField('engine', (t) =>
  t.field({
    type: Engine,
    description: 'What does the computing, and how busy it is.',
    resolve: (_root, _args, { db, engine }) => readBackend(db, engine),
  }),
);

export function backendOf({ backend }: { backend: string }): 'TENSORFLOW' | 'WASM' {
  return backend === 'wasm' ? 'WASM' : 'TENSORFLOW';
}

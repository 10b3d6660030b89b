/** What every run has in common: its life, its metrics, and its events. */
import { datasetsByIds } from '../services/dataset.ts';
import { workersByIds } from '../services/engine.ts';
import { modelsByIds } from '../services/model.ts';
import { ALL_STEPS, metricsOfRuns, runsByIds } from '../services/run.ts';
import { builder } from './builder.ts';
import { backendOf, EngineBackend } from './engine.ts';
import { encodeEventCursor } from './eventCursor.ts';
import { typenameOf } from './ids.ts';
import { MetricSeriesRef } from './metrics.ts';
import { PhaseRef } from './phases.ts';
import { DatasetRef, ModelRef, RunRef, WorkerRef } from './refs.ts';
import { ExportFileRef, exportFilesOf } from './runExports.ts';

const DEFAULT_MAX_POINTS = 1000;
/** In the terms of the complexity rule: a look into the series of a run, and a point of what it answers. */
const METRICS_COMPLEXITY = 20;
const POINT_COMPLEXITY = 0.5;
/** Taken for the number of a run's metrics where all are asked for. */
const USUAL_METRICS = 4;

export const RunStatusRef = builder.enumType('RunStatus', {
  description: 'Where a run is in its life: QUEUED, RUNNING, then one of the three ends.',
  values: {
    QUEUED: {
      description: 'Waits for a worker; also after its worker was lost, to go on from its checkpoint.',
    },
    RUNNING: { description: 'A worker is working on it.' },
    SUCCEEDED: { description: 'Ended well; its results are complete.' },
    FAILED: { description: 'Ended with an error, which `error` shows.' },
    CANCELLED: { description: 'Ended by `cancelRun`.' },
  },
});

const RUN_ERRORS = {
  INVALID_INPUT: { description: 'Its settings do not go with its data or its model.' },
  NOT_FOUND: { description: 'Something that it works on is gone.' },
  CONFLICT: { description: 'The state of things did not allow it.' },
  LIMIT_EXCEEDED: { description: 'It needs more than this machine has, or than is allowed.' },
  UNAVAILABLE: { description: 'Something outside could not be reached.' },
  ENGINE_FAILED: { description: 'Training diverged, or the engine ended, as for want of memory.' },
  INTERNAL: { description: 'A fault of this server.' },
} as const;

const RunErrorCode = builder.enumType('RunErrorCode', {
  description: 'Why runs fail.',
  values: RUN_ERRORS,
});

const RunError = builder.objectRef<{ code: string; message: string }>('RunError').implement({
  description: 'Why a run failed.',
  fields: (t) => ({
    code: t.field({
      type: RunErrorCode,
      description: 'Machine-readable kind of error.',
      resolve: ({ code }) => (code in RUN_ERRORS ? (code as keyof typeof RUN_ERRORS) : 'INTERNAL'),
    }),
    message: t.exposeString('message', { description: 'What happened, in English.' }),
  }),
});

RunRef.implement({
  description:
    'Long work done by a worker, with everything needed to do it again. Follow it with the subscription `runEvents`.',
  interfaces: [builder.nodeInterfaceRef()],
  resolveType: ({ kind }) => typenameOf(kind),
  fields: (t) => ({
    status: t.field({
      type: RunStatusRef,
      description: 'Where it is in its life.',
      resolve: (r) => r.status,
    }),
    phase: t.field({
      type: PhaseRef,
      description: 'The part of the work that runs now; DONE when it has succeeded, the last one when not.',
      resolve: (run) => run.phase,
    }),
    progress: t.exposeFloat('progress', { description: 'How much is done, 0–1 over the whole run.' }),
    etaSeconds: t.exposeFloat('etaSeconds', {
      nullable: true,
      description: 'Estimated seconds until it is done; null while that is unknown, and at the end.',
    }),
    seed: t.exposeInt('seed', { description: 'Seeds every random draw of the run.' }),
    dataset: t.field({
      type: DatasetRef,
      description: 'The data that it works on.',
      resolve: async (run, _args, { loaders }) => (await loaders.load(datasetsByIds, run.datasetId))!,
    }),
    model: t.field({
      type: ModelRef,
      nullable: true,
      description:
        'The model that it made or studies; null until a training has succeeded, while an analysis waits for its checkpoint (phase AWAITING_CHECKPOINT), and of a grokking run, whose parts have one each.',
      resolve: ({ modelId }, _args, { loaders }) => loaders.loadMaybe(modelsByIds, modelId),
    }),
    parent: t.field({
      type: RunRef,
      nullable: true,
      description: 'The sweep or grokking run of which it is a part; null when it stands alone.',
      resolve: ({ parentId }, _args, { loaders }) => loaders.loadMaybe(runsByIds, parentId),
    }),
    datasetHash: t.exposeString('datasetHash', {
      description: 'SHA-256 over the facts and examples that it works on.',
    }),
    artifactHash: t.exposeString('artifactHash', {
      nullable: true,
      description:
        'SHA-256 of the weights that it ended with; null before the end, and where there are none or an SAE for each hop.',
    }),
    backend: t.field({
      type: EngineBackend,
      nullable: true,
      description:
        'Backend that computes it; null before it first runs. Only the same backend gives the same numbers.',
      resolve: ({ backend }) => (backend === null ? null : backendOf({ backend })),
    }),
    codeVersion: t.exposeString('codeVersion', {
      description: 'Version of the server that it was started with.',
    }),
    worker: t.field({
      type: WorkerRef,
      nullable: true,
      description: 'The worker that works, or last worked, on it.',
      resolve: ({ workerId }, _args, { loaders }) => loaders.loadMaybe(workersByIds, workerId),
    }),
    attempt: t.exposeInt('attempt', {
      description: 'How often a worker has taken it up; above 1 it went on from a checkpoint.',
    }),
    error: t.field({
      type: RunError,
      nullable: true,
      description: 'Why it failed; null unless it is FAILED.',
      resolve: ({ errorCode, errorMessage }) =>
        errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' },
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was started by a mutation.' }),
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a worker first took it up.',
    }),
    finishedAt: t.expose('finishedAt', { type: 'DateTime', nullable: true, description: 'When it ended.' }),
    cursor: t.string({
      description:
        'Where its events stand now: pass it to `runEvents(after)` to be told what happens after this reading, and nothing twice.',
      resolve: (run) => encodeEventCursor(run.lastSeq),
    }),
    exports: t.field({
      type: [ExportFileRef],
      description: 'Its results as files.',
      complexity: { field: 1, multiplier: 10 },
      resolve: (run) => exportFilesOf(run),
    }),
    metrics: t.field({
      type: [MetricSeriesRef],
      description:
        'What was measured while it ran. Long series are thinned such that each stretch keeps its lowest and its highest value, so that no spike is lost.',
      complexity: ({ names, maxPoints }) => ({
        field:
          METRICS_COMPLEXITY +
          (names?.length ?? USUAL_METRICS) * Math.max(0, maxPoints ?? DEFAULT_MAX_POINTS) * POINT_COMPLEXITY,
        multiplier: 1,
      }),
      args: {
        names: t.arg.stringList({ required: false, description: 'Only these metrics; all when left out.' }),
        maxPoints: t.arg.int({
          defaultValue: DEFAULT_MAX_POINTS,
          description: 'Most points a series may have, 4–10,000.',
        }),
        fromStep: t.arg.int({
          required: false,
          description:
            'Only steps from this one on, 0 or more: a series is thinned as if it had no others, so that a closer look shows more.',
        }),
        toStep: t.arg.int({ required: false, description: 'Only steps up to this one.' }),
      },
      resolve: (run, { names, maxPoints, fromStep, toStep }, { loaders }) =>
        loaders.loadGrowing(metricsOfRuns, run.id, {
          names: names ?? null,
          maxPoints: maxPoints ?? DEFAULT_MAX_POINTS,
          range: { from: fromStep ?? ALL_STEPS.from, to: toStep ?? ALL_STEPS.to },
        }),
    }),
  }),
});

/** The subscription that follows a run. */

import { readCell } from '../runs/swapSweep.ts';
import { readPoint } from '../services/grokking.ts';
import type {
  CellEvent,
  LogEvent,
  MetricsEvent,
  PartEvent,
  PointEvent,
  RunEventRow,
  StatusEvent,
} from '../services/run.ts';
import { getLog, runsByIds } from '../services/run.ts';
import { builder } from './builder.ts';
import { encodeEventCursor, startOf } from './eventCursor.ts';
import { finiteOrNull } from './finite.ts';
import { idOf, RUN_TYPES } from './ids.ts';
import { cursorOfEvent, oneByOne } from './oneByOne.ts';
import { PhaseRef } from './phases.ts';
import { GrokkingPointRef, RunRef } from './refs.ts';
import { RunStatusRef } from './run.ts';
import { SweepCellRef } from './sweepCell.ts';

const RunStatusChanged = builder.objectRef<StatusEvent>('RunStatusChanged').implement({
  description: 'The state or the progress of the run changed.',
  fields: (t) => ({
    status: t.field({ type: RunStatusRef, description: 'Its state from now on.', resolve: (e) => e.status }),
    phase: t.field({
      type: PhaseRef,
      description: 'The part of the work that runs now.',
      resolve: (e) => e.phase,
    }),
    progress: t.exposeFloat('progress', { description: 'How much is done, 0–1 over the whole run.' }),
    etaSeconds: t.exposeFloat('etaSeconds', {
      nullable: true,
      description: 'Estimated seconds until it is done; null while that is unknown, and at the end.',
    }),
  }),
});

const MetricValue = builder.objectRef<MetricsEvent['metrics'][number]>('MetricValue').implement({
  description: 'One metric at one step.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, such as `loss`.' }),
    value: t.float({
      nullable: true,
      description: 'The value; null where it was not a finite number (training diverged).',
      resolve: ({ value }) => finiteOrNull(value),
    }),
  }),
});

const MetricsLogged = builder.objectRef<MetricsEvent>('MetricsLogged').implement({
  description: 'A training step was measured.',
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'Training step, counted over the whole run.' }),
    metrics: t.field({
      type: [MetricValue],
      description: 'Everything that was measured at this step.',
      resolve: (event) => event.metrics,
    }),
  }),
});

const LogLevel = builder.enumType('LogLevel', {
  description: 'How much a log line matters.',
  values: {
    INFO: { description: 'Told for information.' },
    WARN: { description: 'Something is not as it should be; the run goes on.' },
    ERROR: { description: 'Something failed.' },
  },
});

const RunLogged = builder.objectRef<LogEvent>('RunLogged').implement({
  description: 'The run wrote a line to its log.',
  fields: (t) => ({
    level: t.field({ type: LogLevel, description: 'How much it matters.', resolve: (event) => event.level }),
    message: t.exposeString('message', { description: 'The line.' }),
  }),
});

const LogLine = builder.objectRef<LogEvent>('LogLine').implement({
  description: 'A line of a run’s log.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was written.' }),
    level: t.field({ type: LogLevel, description: 'How much it matters.', resolve: (line) => line.level }),
    message: t.exposeString('message', { description: 'The line.' }),
  }),
});

builder.interfaceField(RunRef, 'log', (t) =>
  t.field({
    type: [LogLine],
    description: 'The newest lines of its log, oldest first; `runEvents` tells of each as it is written.',
    complexity: ({ last }) => ({ field: 1, multiplier: Math.max(0, last ?? 100) / 10 }),
    args: { last: t.arg.int({ defaultValue: 100, description: 'At most this many, 0–1,000.' }) },
    resolve: (run, { last }, { db }) => getLog(db, run.id, last ?? 100),
  }),
);

const PartFinished = builder.objectRef<PartEvent>('PartFinished').implement({
  description: 'A part of a sweep or of a grokking run has ended, well or not.',
  fields: (t) => ({
    run: t.field({
      type: RunRef,
      description: 'The part; its results can be queried now.',
      // Not batched: the loaders of a subscription live long, and the part may have been seen before its end.
      resolve: async ({ partId }, _args, { db }) => (await runsByIds(db, [partId]))[0]!,
    }),
  }),
});

const SwapCellMeasured = builder.objectRef<CellEvent>('SwapCellMeasured').implement({
  description: 'A swap sweep has measured one method at one alpha, for the slots or for a control.',
  fields: (t) => ({
    result: t.field({
      type: SweepCellRef,
      description: 'What was measured.',
      resolve: ({ runId, position }, _args, { db }) => readCell(db, runId, position),
    }),
  }),
});

const CheckpointMeasured = builder.objectRef<PointEvent>('CheckpointMeasured').implement({
  description: 'A checkpoint of a grokking run was measured, and so were all before it.',
  fields: (t) => ({
    point: t.field({
      type: GrokkingPointRef,
      description: 'What was measured.',
      resolve: ({ runId, step }, _args, { db }) => readPoint(db, runId, step),
    }),
  }),
});

const TYPENAMES = {
  STATUS: 'RunStatusChanged',
  METRICS: 'MetricsLogged',
  LOG: 'RunLogged',
  PART: 'PartFinished',
  CELL: 'SwapCellMeasured',
  POINT: 'CheckpointMeasured',
} as const;

const RunEvent = builder.unionType('RunEvent', {
  description: 'What can happen in a run.',
  types: [RunStatusChanged, MetricsLogged, RunLogged, PartFinished, SwapCellMeasured, CheckpointMeasured],
  resolveType: (event) => TYPENAMES[event.type],
});

const RunEventMessage = builder.objectRef<RunEventRow>('RunEventMessage').implement({
  description: 'One event of a run, with its place in the order of events.',
  fields: (t) => ({
    cursor: t.string({
      description: 'Pass the last one seen as `after` to go on behind this event.',
      resolve: ({ seq }) => encodeEventCursor(seq),
    }),
    at: t.expose('at', {
      type: 'DateTime',
      description: 'When it happened; of metrics, when the engine measured them.',
    }),
    event: t.field({ type: RunEvent, description: 'What happened.', resolve: (row) => row }),
  }),
});

builder.subscriptionField('runEvents', (t) =>
  t.field({
    type: RunEventMessage,
    description:
      'Everything that happens in a run, in order: first what has happened already (behind `after`), then what comes, live. Completes by itself when the run has ended and all has been delivered. After a lost connection subscribe again with the last cursor: nothing is missed or repeated.',
    args: {
      id: t.arg.id({ required: true, description: 'Id of a run of any kind.' }),
      after: t.arg.string({
        required: false,
        description: 'Cursor of the last event seen, or `Run.cursor`; from the beginning when left out.',
      }),
    },
    subscribe: async (_root, { id, after }, { feed, lastEventId }) =>
      oneByOne(await feed.subscribe(idOf(id, RUN_TYPES, ['id']), startOf(after, lastEventId)), {
        cursorOf: cursorOfEvent,
      }),
    resolve: (row) => row,
  }),
);

/** The subscription that follows a grokking run, checkpoint by checkpoint. */
import { readPoint } from '../services/grokking.ts';
import type { PointEvent, RunEventRow } from '../services/run.ts';
import { builder } from './builder.ts';
import { encodeEventCursor, startOf } from './eventCursor.ts';
import { idOf } from './ids.ts';
import { cursorOfEvent, oneByOne } from './oneByOne.ts';
import { GrokkingPointRef } from './refs.ts';

const GrokkingMessage = builder.objectRef<PointEvent>('GrokkingMessage').implement({
  description: 'A point of a grokking run, with its place in the order of its events.',
  fields: (t) => ({
    cursor: t.string({
      description: 'Pass the last one seen as `after` to go on behind this point.',
      resolve: ({ seq }) => encodeEventCursor(seq),
    }),
    at: t.expose('at', { type: 'DateTime', description: 'When it was measured.' }),
    point: t.field({
      type: GrokkingPointRef,
      description: 'What was measured.',
      resolve: ({ runId, step }, _args, { db }) => readPoint(db, runId, step),
    }),
  }),
});

const isPoint = (event: RunEventRow): event is PointEvent => event.type === 'POINT';

builder.subscriptionField('grokking', (t) =>
  t.field({
    type: GrokkingMessage,
    description:
      'The points of a grokking run in the order of training, each once: first those that are there (behind `after`), then each as it is measured and all before it are. Completes by itself when the run has ended and all has been delivered. After a lost connection subscribe again with the last cursor.',
    args: {
      id: t.arg.id({ required: true, description: 'Id of a grokking run.' }),
      after: t.arg.string({
        required: false,
        description: 'Cursor of the last point seen, or `Run.cursor`; from the beginning when left out.',
      }),
    },
    subscribe: async (_root, { id, after }, { feed, lastEventId }) => {
      const runId = idOf(id, ['GrokkingRun'], ['id']);
      return oneByOne<RunEventRow, PointEvent>(await feed.subscribe(runId, startOf(after, lastEventId)), {
        cursorOf: cursorOfEvent,
        isWanted: isPoint,
      });
    },
    resolve: (event) => event,
  }),
);

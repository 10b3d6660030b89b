/** The subscription that follows all runs at once. */
import type { PlacedChange } from '../services/run.ts';
import { builder } from './builder.ts';
import { encodeGlobalId, typenameOf } from './ids.ts';
import { oneByOne } from './oneByOne.ts';
import { RunRef } from './refs.ts';
import { decodePlace, encodePlace } from './runChangeCursor.ts';
import { RunFilterRef, runFilterOf } from './runs/queries.ts';

const RunChangeRef = builder.objectRef<PlacedChange>('RunChange').implement({
  description: 'A run is not what it was: it was started, went on, was renamed, ended or was deleted.',
  fields: (t) => ({
    cursor: t.string({
      description: 'Pass the last one seen as `after` to go on behind this change.',
      resolve: ({ place }) => encodePlace(place),
    }),
    id: t.id({
      description: 'Id of the run.',
      resolve: ({ kind, runId }) => encodeGlobalId(typenameOf(kind), runId),
    }),
    run: t.field({
      type: RunRef,
      nullable: true,
      description: 'The run as it is now; null when it was deleted.',
      resolve: ({ run }) => run,
    }),
    fits: t.exposeBoolean('fits', {
      description:
        'Whether the run fits the filter now; false of one that did and was deleted, or has become another. Behind `after` runs that do not fit may be among what was missed though they did not before.',
    }),
  }),
});

builder.subscriptionField('runsChanged', (t) =>
  t.field({
    type: RunChangeRef,
    description:
      'Every run whose status, phase, progress, newest metrics, name or anything else has changed, as it is now, at most four times a second: first what has changed behind `after`, then what comes, live, without end. A client that is slow or was away is told of each run once. After a lost connection subscribe again with the last cursor: nothing is missed or repeated.',
    args: {
      filter: t.arg({ type: RunFilterRef, required: false, description: 'Which runs.' }),
      after: t.arg.string({
        required: false,
        description:
          'Cursor of the last change seen, or `changesCursor` of the `runs` that are shown; from now on when left out.',
      }),
    },
    subscribe: async (_root, { filter, after }, { runChanges, lastEventId, loaders }) => {
      const cursor = lastEventId ?? after;
      const place = cursor == null ? null : decodePlace(cursor);
      const batches = await runChanges.subscribe(runFilterOf(filter), place);
      return oneByOne(batches, {
        cursorOf: ({ place }) => encodePlace(place),
        // What a run refers to is read once a batch; it may have changed since the batch before.
        onBatch: () => loaders.clear(),
      });
    },
    resolve: (change) => change,
  }),
);

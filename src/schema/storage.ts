/** What is kept, how large it is, and what is collected when. */
import {
  type Amount,
  type Collection,
  KEEP_TAG,
  type KeptFiles,
  type KeptTable,
  measureArtifacts,
  measureTables,
  type RetentionPolicyName,
  type RetentionState,
  readRetention,
} from '../services/retention.ts';
import { builder } from './builder.ts';

/** Counting reads whole tables. */
const COMPLEXITY = { field: 100, multiplier: 1 };
const MAY_BE_LARGE = 'A whole number, which may be too large for Int.';

const ABOUT: Readonly<Record<RetentionPolicyName, string>> = {
  LEFTOVERS:
    'Files that nothing refers to, such as the checkpoints of runs that have ended, and unfinished ones; after an hour, always.',
  DAMAGED:
    'Files whose bytes were no longer what they were stored as, and which were moved out of the way; after `RETENTION_DAMAGED`.',
  EVENTS:
    'Of runs that have ended: what they logged, and all their changes of status but the last; after `RETENTION_EVENTS`. Metrics, points, cells and parts stay.',
  FAILED_RUNS: `Runs that FAILED or were CANCELLED, with their parts and what they made, unless something else rests on any of it or it has the tag ${KEEP_TAG}; after \`RETENTION_FAILED_RUNS\`.`,
  RESULTS: `The same of runs that SUCCEEDED; after \`RETENTION_RESULTS\`.`,
  AUDIT: 'Entries of the log of who changed what; after `RETENTION_AUDIT`.',
  WORKERS: 'Workers that are gone and that no run names; after `RETENTION_EVENTS`.',
};

const RetentionPolicyRef = builder.enumType('RetentionPolicy', {
  description: 'What is collected when it is old, each by a rule of its own.',
  values: Object.fromEntries(
    Object.entries(ABOUT).map(([name, description]) => [name, { description }]),
  ) as Record<RetentionPolicyName, { description: string }>,
});

const AmountRef = builder.objectRef<Amount>('StoredAmount').implement({
  description: 'How many things, and how large they are.',
  fields: (t) => ({
    items: t.exposeFloat('items', { description: `Number of things. ${MAY_BE_LARGE}` }),
    bytes: t.exposeFloat('bytes', {
      description: `Bytes of their files, each once, or of their rows. ${MAY_BE_LARGE}`,
    }),
  }),
});

const CollectionRef = builder.objectRef<Collection>('Collection').implement({
  description: 'What was collected by a rule.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: 'When it was last looked for.' }),
    last: t.field({ type: AmountRef, description: 'What was taken then.', resolve: (row) => row }),
    total: t.field({
      type: AmountRef,
      description: 'What was taken over all times.',
      resolve: ({ totalItems, totalBytes }) => ({ items: totalItems, bytes: totalBytes }),
    }),
  }),
});

const RetentionRef = builder.objectRef<RetentionState>('Retention').implement({
  description:
    'A rule by which things are collected when they are old. What runs, or what something rests on, stays.',
  fields: (t) => ({
    policy: t.field({ type: RetentionPolicyRef, description: 'Which rule.', resolve: (r) => r.policy }),
    seconds: t.float({
      nullable: true,
      description: 'How old things must be, in seconds; null where they are kept for good.',
      resolve: ({ ageMs }) => ageMs && ageMs / 1000,
    }),
    due: t.field({
      type: AmountRef,
      nullable: true,
      description: 'What it would take now; null where they are kept for good.',
      resolve: ({ due }) => due,
    }),
    collected: t.field({
      type: CollectionRef,
      nullable: true,
      description: 'What it has taken; null before its first round.',
      resolve: ({ last }) => last,
    }),
  }),
});

const KeptFilesRef = builder.objectRef<KeptFiles>('KeptFiles').implement({
  description: 'Files of one kind in the artifact store.',
  fields: (t) => ({
    kind: t.exposeString('kind', { description: 'MODEL, SAE, CHECKPOINT or CORPUS.' }),
    all: t.field({
      type: AmountRef,
      description: 'All that there are.',
      resolve: ({ files, bytes }) => ({ items: files, bytes }),
    }),
    unused: t.field({
      type: AmountRef,
      description: 'Those that nothing refers to; they are collected an hour after they were last needed.',
      resolve: ({ unusedFiles, unusedBytes }) => ({ items: unusedFiles, bytes: unusedBytes }),
    }),
  }),
});

const KeptTableRef = builder.objectRef<KeptTable>('KeptTable').implement({
  description: 'A table of the database.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    rows: t.exposeFloat('rows', { description: `Rows as Postgres last counted them. ${MAY_BE_LARGE}` }),
    bytes: t.exposeFloat('bytes', { description: `Bytes with its indexes. ${MAY_BE_LARGE}` }),
  }),
});

const StorageRef = builder.objectRef<Record<never, never>>('Storage').implement({
  description: 'What is kept, how large it is, and what is collected when.',
  fields: (t) => ({
    files: t.field({
      type: [KeptFilesRef],
      description: 'Files in the artifact store, by kind.',
      complexity: COMPLEXITY,
      resolve: (_root, _args, { db }) => measureArtifacts(db),
    }),
    tables: t.field({
      type: [KeptTableRef],
      description: 'Tables of the database, largest first.',
      complexity: COMPLEXITY,
      resolve: (_root, _args, { db }) => measureTables(db),
    }),
    retention: t.field({
      type: [RetentionRef],
      description: 'The rules by which things are collected, with what each would take now.',
      complexity: COMPLEXITY,
      resolve: (_root, _args, context) => readRetention(context, context.retention),
    }),
  }),
});

builder.queryField('storage', (t) =>
  t.field({
    type: StorageRef,
    description: 'What is kept, how large it is, and what is collected when.',
    resolve: () => ({}),
  }),
);

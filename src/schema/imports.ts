/** Imports that are being read: from outside they are a mutation that takes long to answer. */
import type { RunningImport } from '../services/importProcess.ts';
import { builder } from './builder.ts';

const ImportKind = builder.enumType('ImportKind', {
  description: 'What is imported.',
  values: {
    MODEL: { description: 'A model, by `importModel`.' },
    SAE: { description: 'An SAE, by `importSae`.' },
    ACTIVATIONS: { description: 'Activations of a model, by `importActivations`.' },
  } as const,
});

const RunningImportRef = builder.objectRef<RunningImport>('RunningImport').implement({
  description: 'An import that is being read, and how far it has come.',
  fields: (t) => ({
    kind: t.field({ type: ImportKind, description: 'What is imported.', resolve: ({ what }) => what }),
    place: t.exposeString('place', {
      description: 'The path or the repository that it comes from, as it was asked for.',
    }),
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it began.' }),
    writtenBytes: t.exposeFloat('written', {
      description: 'Bytes of weights that have been read, checked and written as float32.',
    }),
    totalBytes: t.exposeFloat('total', {
      nullable: true,
      description: 'Bytes of all its weights as float32; null until its headers have been read.',
    }),
  }),
});

builder.queryField('imports', (t) =>
  t.field({
    type: [RunningImportRef],
    description:
      'Imports that the answering process is reading now, the oldest first. One that is no longer among them has been stored, or refused: its mutation says which.',
    complexity: { field: 1, multiplier: 4 },
    resolve: (_root, _args, { imports }) => [...imports.running],
  }),
);

/** Deletion of runs, SAEs, models, datasets, corpora and ontologies, and the room that they take. */
import {
  type Deletion,
  deleteThing,
  storageOfCorpora,
  storageOfDatasets,
  storageOfModels,
  storageOfOntologies,
  storageOfRuns,
  storageOfSaes,
} from '../services/deletion.ts';
import { builder } from './builder.ts';
import { dependantId } from './errors.ts';
import { idOf, RUN_TYPES } from './ids.ts';
import { wordOf } from './labels.ts';
import { addMutation } from './mutation.ts';
import { CorpusRef, DatasetRef, ModelRef, OntologyRef, RunRef, SaeRef } from './refs.ts';

const OF_ROWS = 'Bytes that its rows take in the database, about.';
const MAY_BE_LARGE = 'A whole number, which may be too large for Int.';

builder.interfaceField(RunRef, 'storage', (t) =>
  t.float({
    description: `Bytes of its files, with those of its parts and of the models kept along the way; the model that a training ended with counts there, too. ${MAY_BE_LARGE}`,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfRuns, id),
  }),
);
builder.objectField(ModelRef, 'storage', (t) =>
  t.float({
    description: `Bytes of its weights. ${MAY_BE_LARGE}`,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfModels, id),
  }),
);
builder.objectField(SaeRef, 'storage', (t) =>
  t.float({
    description: `Bytes of its file. ${MAY_BE_LARGE}`,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfSaes, id),
  }),
);
builder.objectField(CorpusRef, 'storage', (t) =>
  t.float({
    description: `Bytes of its file. ${MAY_BE_LARGE}`,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfCorpora, id),
  }),
);
builder.objectField(DatasetRef, 'storage', (t) =>
  t.float({
    description: OF_ROWS,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfDatasets, id),
  }),
);
builder.objectField(OntologyRef, 'storage', (t) =>
  t.float({
    description: OF_ROWS,
    resolve: ({ id }, _args, { loaders }) => loaders.load(storageOfOntologies, id),
  }),
);

const DeleteSuccess = builder.objectRef<Deletion>('DeleteSuccess').implement({
  description: 'It was deleted.',
  fields: (t) => ({
    ids: t.idList({
      description:
        'Ids of all that was deleted: the thing itself, what is part of it, and what rested on it.',
      resolve: ({ deleted }) => deleted.map(dependantId),
    }),
    freedBytes: t.exposeFloat('freedBytes', {
      description:
        'Bytes of the files that are gone, and of the rows of datasets and ontologies; a file that something else uses as well stays and does not count.',
    }),
  }),
});

const ABOUT = {
  Run: 'Deletes a run that has ended, with its parts, results, events and files. What rests on it: the model that it made, and runs that use its SAE; and a run of which it is a part, for parts go with the whole.',
  Sae: 'Deletes an SAE and its file. What rests on it: the run that trained it, and the runs that use it.',
  Model:
    'Deletes a model and its weights. What rests on it: the run that made it, the runs that study it or begin with it, and its SAEs.',
  Dataset:
    'Deletes a dataset, its facts and its examples. What rests on it: the models trained on it, and the runs that use it.',
  Corpus: 'Deletes a corpus and its file. What rests on it: the runs that read it.',
  Ontology: 'Deletes a version of an ontology. What rests on it: its datasets, with all that rests on them.',
} as const;

for (const [what, about] of Object.entries(ABOUT) as [keyof typeof ABOUT, string][]) {
  const types = what === 'Run' ? RUN_TYPES : [what];
  addMutation(`delete${what}`, {
    description: `${about} Refused with a ConflictError that lists what rests on it, unless \`cascade\` is true; and always while a run among them is queued or running. Cannot be undone.`,
    scope: 'run',
    input: builder.inputType(`Delete${what}Input`, {
      description: 'What is to be deleted.',
      fields: (t) => ({
        id: t.id({ required: true, description: `Id of the ${wordOf(what)}.` }),
        cascade: t.boolean({
          required: false,
          description: 'True: with all that rests on it. Default: false.',
        }),
      }),
    }),
    success: DeleteSuccess,
    errors: ['INVALID_INPUT', 'NOT_FOUND', 'CONFLICT'],
    resolve: ({ id, cascade }, { db, store }) =>
      deleteThing({ db, store }, what, idOf(id, types, ['id']), cascade ?? false),
  });
}

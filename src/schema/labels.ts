/** Names, tags and notes in the schema: given at the start, shown, and changed by a mutation. */
import { type Labelled, type Labels, label, MAX_TAG, MAX_TAGS } from '../services/labels.ts';
import { builder, type SchemaTypes } from './builder.ts';
import { idOf, RUN_TYPES } from './ids.ts';
import { withoutNulls } from './input.ts';
import { addMutation } from './mutation.ts';
import { CorpusRef, DatasetRef, ModelRef, OntologyRef, RunRef, SaeRef } from './refs.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
type InputFields = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;

const TAGS = `At most ${MAX_TAGS} words to find it by, each of at most ${MAX_TAG} characters.`;
const NOTES = 'What there is to say of it, in lines of plain text; at most 4,000 characters.';

/** Tags and notes of something new. */
export function labelInput(t: InputFields) {
  return {
    tags: t.stringList({ required: false, description: `${TAGS} Default: none.` }),
    notes: t.string({ required: false, description: `${NOTES} Default: empty.` }),
  };
}

/** The same with the name, for runs. */
export function namedInput(t: InputFields) {
  return {
    name: t.string({
      required: false,
      description: 'Name for people, at most 200 characters. Default: none.',
    }),
    ...labelInput(t),
  };
}

/** What is said in an input, apart from the rest of it. */
export function takeLabels<T extends Labels>(input: T): { labels: Labels; rest: Omit<T, 'tags' | 'notes'> } {
  const { tags, notes, ...rest } = input;
  return { labels: { tags, notes }, rest };
}

for (const ref of [ModelRef, DatasetRef, OntologyRef, SaeRef, CorpusRef])
  builder.objectFields(ref as typeof ModelRef, (t) => ({
    tags: t.exposeStringList('tags', { description: 'Words to find it by.' }),
    notes: t.exposeString('notes', { description: 'What people say of it; may be empty.' }),
  }));

builder.interfaceFields(RunRef, (t) => ({
  name: t.string({
    nullable: true,
    description: 'Its name for people; null where none was given.',
    resolve: ({ name }) => name || null,
  }),
  tags: t.exposeStringList('tags', { description: 'Words to find it by.' }),
  notes: t.exposeString('notes', { description: 'What people say of it; may be empty.' }),
}));

const REFS = {
  Run: RunRef,
  Model: ModelRef,
  Dataset: DatasetRef,
  Ontology: OntologyRef,
  Sae: SaeRef,
  Corpus: CorpusRef,
};

/** What it is called in a sentence. */
export const wordOf = (what: Labelled) => (what === 'Sae' ? 'SAE' : what.toLowerCase());

/** Adds `update<What>`. */
function addUpdate(what: Labelled): void {
  const key = what.toLowerCase();
  const word = wordOf(what);
  const isRun = what === 'Run';
  const types = isRun ? RUN_TYPES : [what];
  addMutation(`update${what}`, {
    description: `Changes what is said of ${word === 'SAE' ? 'an' : 'a'} ${word}: its name, its tags, its notes; whatever is left out stays as it is.`,
    scope: 'run',
    input: builder.inputType(`Update${what}Input`, {
      description: 'What is to be said from now on.',
      fields: (t) => ({
        id: t.id({ required: true, description: `Id of the ${word}.` }),
        name: t.string({
          required: false,
          description: `Name for people, at most 200 characters${isRun ? '; an empty one takes it away' : ''}.`,
        }),
        tags: t.stringList({ required: false, description: `${TAGS} They take the place of those before.` }),
        notes: t.string({ required: false, description: NOTES }),
      }),
    }),
    success: builder.objectRef<{ changed: unknown }>(`Update${what}Success`).implement({
      description: 'It is called so from now on.',
      fields: (t) =>
        ({
          [key]: t.field({
            type: REFS[what] as typeof ModelRef,
            description: `The ${word} as it is now.`,
            resolve: ({ changed }) => changed as never,
          }),
        }) as never,
    }),
    errors: ['INVALID_INPUT', 'NOT_FOUND'],
    resolve: async ({ id, ...labels }, { db }) => ({
      changed: await label(db, what, idOf(id, types, ['id']), withoutNulls(labels)),
    }),
  });
}

for (const what of ['Run', 'Model', 'Dataset', 'Ontology', 'Sae', 'Corpus'] as const) addUpdate(what);

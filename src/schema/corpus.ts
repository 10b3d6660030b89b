/** Text corpora: documents that are about nothing in particular, to learn from what activations are like. */
import { type Corpus, corporaByIds, importCorpus, listCorpora } from '../services/corpus.ts';
import { makeLabelled } from '../services/labels.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { AlignmentRunRef, BaselineRunRef, CorpusConnection, CorpusRef } from './refs.ts';
import { WHOLE_FILE } from './texts.ts';

builder.node(CorpusRef, {
  description:
    'Texts that ask nothing and are about nothing in particular. An SAE may learn from the activations at all their positions, and slots to stay silent there. Never changes once it is stored.',
  id: { resolve: (corpus) => corpus.id },
  loadOne: (id, { loaders }) => loaders.load(corporaByIds, id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Name for people.' }),
    documents: t.exposeInt('documents', { description: 'Number of its documents.' }),
    bytes: t.exposeFloat('bytes', {
      description: 'Bytes of its text in UTF-8; a whole number, which may be too large for Int.',
    }),
    artifactHash: t.exposeString('artifactHash', {
      description: 'SHA-256 of its file: equal hashes mean equal documents in equal order.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was imported.' }),
  }),
});

builder.queryFields((t) => ({
  corpus: t.field({
    type: CorpusRef,
    nullable: true,
    description: 'The corpus with this id; null when there is none.',
    args: { id: t.arg.id({ required: true, description: 'Id of the corpus.' }) },
    resolve: (_root, { id }, { loaders }) => loaders.load(corporaByIds, idOf(id, ['Corpus'], ['id'])),
  }),
  corpora: t.connection(
    {
      type: CorpusRef,
      description: 'Text corpora, newest first.',
      resolve: (_root, args, { db }) => listCorpora(db, args),
    },
    CorpusConnection,
  ),
}));

for (const ref of [AlignmentRunRef, BaselineRunRef])
  builder.objectField(ref, 'corpus', (t) =>
    t.field({
      type: CorpusRef,
      nullable: true,
      description: 'The corpus whose texts it reads; null where its settings ask for none.',
      resolve: ({ corpusId }, _args, { loaders }) => loaders.loadMaybe(corporaByIds, corpusId),
    }),
  );

const CorpusFormat = builder.enumType('CorpusFormat', {
  description: 'How documents stand in a file.',
  values: {
    JSONL: {
      description:
        'One JSON object a line, whose `text` is a document; its `type`, if it has one, is `text`; whatever else it says is passed over.',
    },
    PLAIN: {
      description:
        'Plain text: as many lines as make up 8,192 characters are a document; longer lines are cut.',
    },
  },
});

addMutation('importCorpus', {
  description:
    'Imports texts as a corpus, whole or not at all: a bad line is reported with its number, and nothing is stored. Files may be larger than memory, at most 64 GiB each. Give one of `path`, `content` and `files`.',
  scope: 'run',
  input: builder.inputType('ImportCorpusInput', {
    description: 'Where the texts come from, and what they look like.',
    fields: (t) => ({
      path: t.string({
        required: false,
        description:
          'A file, or a directory of files, on the server, relative to its import directory (`IMPORT_DIR`).',
      }),
      content: t.string({
        required: false,
        description: 'The text of one file itself.',
        extensions: WHOLE_FILE,
      }),
      files: t.field({ type: ['Upload'], required: false, description: 'Files sent with the request.' }),
      format: t.field({
        type: CorpusFormat,
        required: false,
        description:
          'How documents stand in the files. Default: JSONL for files whose names end in .jsonl or .ndjson, PLAIN for others.',
      }),
      name: t.string({
        required: false,
        description: 'Name for people, at most 200 characters. Default: the path or the name of the file.',
      }),
      ...labelInput(t),
    }),
  }),
  success: builder.objectRef<{ corpus: Corpus }>('ImportCorpusSuccess').implement({
    description: 'The corpus was imported and stored.',
    fields: (t) => ({
      corpus: t.field({
        type: CorpusRef,
        description: 'The stored corpus.',
        resolve: ({ corpus }) => corpus,
      }),
    }),
  }),
  errors: ['INVALID_INPUT'],
  resolve: async (input, { db, store, importDir }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    const source = {
      ...rest,
      files: rest.files?.map((file: File) => ({ name: file.name, bytes: file.stream() })),
    };
    const make = () => importCorpus({ db, store, importDir }, source);
    return { corpus: await makeLabelled(db, 'Corpus', labels, make) };
  },
});

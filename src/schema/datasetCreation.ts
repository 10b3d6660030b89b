/** Ways to make a dataset: generate it, import it, or ask about the facts of another. */
import { biographySettings } from '../data/biography.ts';
import { promptedFields } from '../data/text.ts';
import type { Dataset } from '../services/dataset.ts';
import { generateDataset, generateQuestions, importDataset } from '../services/datasetCreation.ts';
import type { ImportFile } from '../services/importSource.ts';
import { makeLabelled } from '../services/labels.ts';
import { builder } from './builder.ts';
import { idOf } from './ids.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import { DatasetRef } from './refs.ts';
import { settingFields } from './settings.ts';
import { WHOLE_FILE } from './texts.ts';

export const NAME = 'Name for people, at most 200 characters.';

const PREFIX = promptedFields.prefix.description!;
const ANSWER_END = promptedFields.answerEnd.description!;
const CHAT = promptedFields.chat.description!;
const LETTER_CASE = promptedFields.letterCase.description!;

const ImportFormat = builder.enumType('ImportFormat', {
  description: 'What the files of an import look like.',
  values: {
    JSONL: {
      description:
        'One JSON object a line, each with a `type`: `ontology` and `concept` (unless `ontologyId` is given), then `fact` (entity, concept, value), `prompt` (prompt, answer and entity where it has them, concept or concepts, template, split) and `text` (text, entity, split). A value or an answer may be a list of all that are accepted, the usual one first.',
    },
    TWO_HOP: {
      description:
        'The published two-hop dataset as it is: `facts.jsonl`, `train_qa_data.json` and `val_qa_data.json`. Its relations become the ontology; its training questions are TRAIN, its validation questions VALIDATION. A `relation_sentences.json` beside them, a list of sentences with `{A}` for the value and `{B}` for the entity by relation, states every fact in each of its sentences.',
    },
  },
});

/** What a mutation that makes a dataset answers with. */
export function successOf(name: string, description: string) {
  return builder.objectRef<{ dataset: Dataset }>(name).implement({
    description,
    fields: (t) => ({
      dataset: t.field({
        type: DatasetRef,
        description: 'The stored dataset.',
        resolve: ({ dataset }) => dataset,
      }),
    }),
  });
}

addMutation('generateDataset', {
  description:
    'Generates biographies of invented people with six concepts (birth date, birth city, university, major, employer, work city), and questions about them in training and held-out phrasings.',
  scope: 'run',
  input: builder.inputType('GenerateDatasetInput', {
    description: 'What to generate; the same people and seed give the same data.',
    fields: (t) => ({
      name: t.string({ required: false, description: `${NAME} Default: made of the other settings.` }),
      ...labelInput(t),
      ...settingFields(t, biographySettings),
    }),
  }),
  success: successOf('GenerateDatasetSuccess', 'The dataset was generated and stored.'),
  errors: ['INVALID_INPUT'],
  resolve: async (input, { db }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    return { dataset: await makeLabelled(db, 'Dataset', labels, () => generateDataset(db, rest)) };
  },
});

addMutation('importDataset', {
  description:
    'Imports a dataset, whole or not at all: a bad line is reported with its number, and nothing is stored. Give one of `path`, `content` and `files`.',
  scope: 'run',
  input: builder.inputType('ImportDatasetInput', {
    description: 'Where the data comes from, and what it looks like.',
    fields: (t) => ({
      format: t.field({
        type: ImportFormat,
        required: false,
        description: 'What the files look like. Default: JSONL.',
      }),
      path: t.string({
        required: false,
        description:
          'A file, or a directory of files, on the server, relative to its import directory (`IMPORT_DIR`).',
      }),
      content: t.string({
        required: false,
        description: 'The text of the one file itself.',
        extensions: WHOLE_FILE,
      }),
      files: t.field({
        type: ['Upload'],
        required: false,
        description:
          'Files sent with the request: one for JSONL, three or four for TWO_HOP, told apart by their names.',
      }),
      name: t.string({ required: false, description: `${NAME} Default: the path or the name of the file.` }),
      ...labelInput(t),
      ontologyId: t.id({
        required: false,
        description:
          'The ontology that a JSONL file is about. Default: the one that the file itself defines.',
      }),
      prefix: t.string({ required: false, description: `${PREFIX} Default: nothing.` }),
      answerEnd: t.string({ required: false, description: `${ANSWER_END} Default: nothing else.` }),
      chat: t.boolean({ required: false, description: `${CHAT} Default: false, they are read as they are.` }),
      letterCase: t.boolean({
        required: false,
        description: `${LETTER_CASE} Default: false, case makes no difference.`,
      }),
      stepwise: t.boolean({
        required: false,
        description:
          'For TWO_HOP: questions are answered with both people, the one that relation 1 leads to and the published answer, and every fact is also stated in sentences, so that both hops can be learned and followed: those of `relation_sentences.json`, or, without it, ours. Default: false, the files as they are.',
      }),
      halves: t.boolean({
        required: false,
        description:
          'For TWO_HOP: the authors’ second split in the place of that of the files, all questions shuffled as their script does it, the first half TRAIN and the other VALIDATION: of the published ones 4,000 each. Default: false.',
      }),
    }),
  }),
  success: successOf('ImportDatasetSuccess', 'The dataset was imported and stored.'),
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async (input, { db, importDir }) => {
    const { labels, rest: given } = takeLabels(withoutNulls(input));
    const { files, ontologyId, ...rest } = given;
    const source = {
      ...rest,
      files: files?.map(toImportFile),
      ontologyId: ontologyId && idOf(ontologyId, ['Ontology'], ['ontologyId']),
    };
    return { dataset: await makeLabelled(db, 'Dataset', labels, () => importDataset(db, source, importDir)) };
  },
});

addMutation('generateQuestions', {
  description:
    'Makes a new dataset of the facts of another one, with questions and sentences about each fact, worded by the labels of the concepts, in training and held-out phrasings.',
  scope: 'run',
  input: builder.inputType('GenerateQuestionsInput', {
    description: 'Whose facts to ask about.',
    fields: (t) => ({
      datasetId: t.id({ required: true, description: 'The dataset that has the facts.' }),
      name: t.string({ required: false, description: `${NAME} Default: made of the other dataset's.` }),
      ...labelInput(t),
    }),
  }),
  success: successOf('GenerateQuestionsSuccess', 'The questions were generated and stored.'),
  errors: ['INVALID_INPUT', 'NOT_FOUND'],
  resolve: async (input, { db }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    const datasetId = idOf(rest.datasetId, ['Dataset'], ['datasetId']);
    const make = () => generateQuestions(db, { datasetId, name: rest.name });
    return { dataset: await makeLabelled(db, 'Dataset', labels, make) };
  },
});

function toImportFile(file: File): ImportFile {
  return { name: file.name, bytes: file.stream() };
}

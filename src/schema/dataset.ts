/** Datasets: facts of an ontology, and prompts about them. */
import { answersOf } from '../engine/contract/dataset.ts';
import {
  conceptsOfExamples,
  datasetsByIds,
  examplesByIds,
  factsByIds,
  listDatasets,
  pageExamplesOfDatasets,
  pageFactsOfDatasets,
  type SplitSize,
  splitsOfDatasets,
} from '../services/dataset.ts';
import { conceptsByIds, ontologiesByIds } from '../services/ontology.ts';
import { builder } from './builder.ts';
import { foundInput, NamedOrderRef } from './found.ts';
import { idOf } from './ids.ts';
import { orderOf } from './order.ts';
import {
  ConceptRef,
  DatasetConnection,
  DatasetRef,
  ExampleConnection,
  ExampleRef,
  FactConnection,
  FactRef,
  OntologyRef,
} from './refs.ts';
import { SplitRef } from './split.ts';

const DatasetKind = builder.enumType('DatasetKind', {
  description: 'What a dataset is made of.',
  values: {
    BIOGRAPHY: { description: 'Generated biographies of people, and questions about them.' },
    TWO_HOP: {
      description:
        'Facts between entities, and questions that take two of them: "Who is the R2 of the R1 of E1?", answered by E2 and E3.',
    },
    WORLD: {
      description: 'Facts of the real world that language models know, and prompts about them.',
    },
    PROMPTS: { description: 'Imported or generated prompts that ask about one concept each.' },
  },
});

const ExampleKind = builder.enumType('ExampleKind', {
  description: 'What an example is.',
  values: {
    QUESTION: { description: 'A prompt, with the expected answer if it has one.' },
    TEXT: { description: 'A sentence that states a fact and asks nothing.' },
  },
});

const DatasetSplit = builder.objectRef<SplitSize>('DatasetSplit').implement({
  description: 'A part of a dataset and its size.',
  fields: (t) => ({
    name: t.field({ type: SplitRef, description: 'Which part.', resolve: ({ name }) => name }),
    size: t.exposeInt('size', { description: 'Number of its examples, questions and texts.' }),
  }),
});

builder.node(DatasetRef, {
  description:
    'Facts of an ontology, and prompts about them with their expected answers. Never changes once it is stored.',
  id: { resolve: (dataset) => dataset.id },
  loadOne: (id, { loaders }) => loaders.load(datasetsByIds, id),
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name for people.' }),
    kind: t.field({ type: DatasetKind, description: 'What it is made of.', resolve: ({ kind }) => kind }),
    ontology: t.field({
      type: OntologyRef,
      description: 'The ontology whose concepts its prompts are about.',
      resolve: async ({ ontologyId }, _args, { loaders }) =>
        (await loaders.load(ontologiesByIds, ontologyId))!,
    }),
    prefix: t.exposeString('prefix', {
      nullable: true,
      description:
        'What a model reads before every prompt, as it is; null where nothing stands before them. Prompts are shown without it. It is run once for all prompts, and edits never reach it.',
    }),
    answerEnd: t.exposeString('answerEnd', {
      nullable: true,
      description: "What ends an answer besides the model's end token; null where nothing else does.",
    }),
    chat: t.exposeBoolean('chat', {
      description: "Whether its prompts are put as users' messages of a chat, by the model's chat template.",
    }),
    letterCase: t.exposeBoolean('letterCase', {
      description: 'Whether answers must agree with those accepted in letter case too.',
    }),
    contentHash: t.exposeString('contentHash', {
      description: 'SHA-256 over its facts and examples: equal hashes mean equal data.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was stored.' }),
    splits: t.field({
      type: [DatasetSplit],
      description: 'Its three parts with their sizes.',
      resolve: (dataset, _args, { loaders }) => loaders.load(splitsOfDatasets, dataset.id),
    }),
    examples: t.connection(
      {
        type: ExampleRef,
        description: 'Its examples, in stored order.',
        args: {
          split: t.arg({ type: SplitRef, required: false, description: 'Only those of this part.' }),
          conceptId: t.arg.id({ required: false, description: 'Only those about this concept.' }),
          kind: t.arg({ type: ExampleKind, required: false, description: 'Only questions, or only texts.' }),
          entity: t.arg.string({
            required: false,
            description: 'Only those about this entity, written exactly so.',
          }),
          text: t.arg.string({
            required: false,
            description:
              'Only those with all these words in their prompt or their answer, in capitals or not.',
          }),
        },
        resolve: (dataset, { conceptId, ...args }, { loaders }) => {
          const concept = conceptId == null ? null : idOf(conceptId, ['Concept'], ['conceptId']);
          return loaders.loadPage(pageExamplesOfDatasets, dataset.id, { ...args, conceptId: concept });
        },
      },
      ExampleConnection,
    ),
    facts: t.connection(
      {
        type: FactRef,
        description: 'Its facts, in stored order.',
        args: {
          conceptId: t.arg.id({ required: false, description: 'Only those of this concept.' }),
          entity: t.arg.string({
            required: false,
            description: 'Only those of this entity, written exactly so.',
          }),
          text: t.arg.string({
            required: false,
            description:
              'Only those with all these words in their entity or their value, in capitals or not.',
          }),
        },
        resolve: (dataset, { conceptId, ...args }, { loaders }) => {
          const concept = conceptId == null ? null : idOf(conceptId, ['Concept'], ['conceptId']);
          return loaders.loadPage(pageFactsOfDatasets, dataset.id, { ...args, conceptId: concept });
        },
      },
      FactConnection,
    ),
  }),
});

builder.node(ExampleRef, {
  description: 'A prompt with its expected answer, if it has one, or a text that states a fact.',
  id: { resolve: (example) => example.id },
  loadOne: (id, { loaders }) => loaders.load(examplesByIds, id),
  fields: (t) => ({
    kind: t.field({ type: ExampleKind, description: 'What it is.', resolve: ({ kind }) => kind }),
    split: t.field({ type: SplitRef, description: 'The part it belongs to.', resolve: ({ split }) => split }),
    prompt: t.exposeString('prompt', { description: 'The question, or the whole text.' }),
    answer: t.exposeString('answer', {
      nullable: true,
      description: 'How the model should continue the question; null for texts.',
    }),
    answers: t.stringList({
      description:
        'All that is accepted as an answer, the usual one first, which is `answer` and the one that models and SAEs learn from; none for texts.',
      resolve: ({ answer, otherAnswers }) => answersOf({ answer, otherAnswers: otherAnswers ?? [] }),
    }),
    entity: t.exposeString('entity', { description: 'Whom or what it is about.' }),
    template: t.exposeString('template', {
      description: 'Names its phrasing: prompts of one template differ in the entity only. May be empty.',
    }),
    concepts: t.field({
      type: [ConceptRef],
      description:
        'What it asks about: one concept, or two for two-hop questions in their order; none for texts.',
      resolve: (example, _args, { loaders }) => loaders.load(conceptsOfExamples, example.id),
    }),
    dataset: t.field({
      type: DatasetRef,
      description: 'The dataset it belongs to.',
      resolve: async ({ datasetId }, _args, { loaders }) => (await loaders.load(datasetsByIds, datasetId))!,
    }),
  }),
});

builder.node(FactRef, {
  description:
    'What is true of an entity: entity – concept → value, such as Ada Park – birth city → Oslo. Where several values are true, each is a fact, the usual one first.',
  id: { resolve: (fact) => fact.id },
  loadOne: (id, { loaders }) => loaders.load(factsByIds, id),
  fields: (t) => ({
    entity: t.exposeString('entity', { description: 'Whom or what it is about.' }),
    concept: t.field({
      type: ConceptRef,
      description: 'The relation.',
      resolve: async ({ conceptId }, _args, { loaders }) => (await loaders.load(conceptsByIds, conceptId))!,
    }),
    value: t.exposeString('value', { description: 'What the relation leads to.' }),
  }),
});

const DatasetFilter = builder.inputType('DatasetFilter', {
  description: 'Which datasets to list; conditions left out do not restrict.',
  fields: (t) => ({
    ontologyId: t.id({ required: false, description: 'Those about the concepts of this ontology.' }),
    kind: t.field({ type: DatasetKind, required: false, description: 'Those of this kind.' }),
    ...foundInput(t),
  }),
});

builder.queryField('datasets', (t) =>
  t.connection(
    {
      type: DatasetRef,
      description: 'Datasets, newest first unless another order is given.',
      args: {
        filter: t.arg({ type: DatasetFilter, required: false, description: 'Which datasets.' }),
        orderBy: t.arg({ type: NamedOrderRef, required: false, description: 'In which order.' }),
      },
      resolve: (_root, { filter, orderBy, ...args }, { db }) => {
        const ontologyId =
          filter?.ontologyId && idOf(filter.ontologyId, ['Ontology'], ['filter', 'ontologyId']);
        return listDatasets(db, { ...filter, ontologyId }, args, orderOf(orderBy));
      },
    },
    DatasetConnection,
  ),
);

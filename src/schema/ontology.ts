/** Ontologies and their concepts. */
import { pageDatasetsOfOntologies } from '../services/dataset.ts';
import { makeLabelled } from '../services/labels.ts';
import {
  conceptsByIds,
  conceptsOfOntologies,
  createOntology,
  findOntology,
  listOntologies,
  type Ontology,
  ontologiesByIds,
} from '../services/ontology.ts';
import { pageSlotsOfConcepts } from '../services/slot.ts';
import { builder } from './builder.ts';
import { withoutNulls } from './input.ts';
import { labelInput, takeLabels } from './labels.ts';
import { addMutation } from './mutation.ts';
import {
  ConceptRef,
  DatasetConnection,
  DatasetRef,
  OntologyConnection,
  OntologyRef,
  SlotConnection,
  SlotRef,
} from './refs.ts';

builder.node(OntologyRef, {
  description: 'A named, versioned list of concepts. A version never changes once it is stored.',
  id: { resolve: (ontology) => ontology.id },
  loadOne: (id, { loaders }) => loaders.load(ontologiesByIds, id),
  fields: (t) => ({
    slug: t.exposeString('slug', {
      description: 'Its name for machines, the same in all versions: lower-case words joined by hyphens.',
    }),
    version: t.exposeInt('version', { description: 'Number of this version, from 1.' }),
    name: t.exposeString('name', { description: 'Its name for people.' }),
    description: t.exposeString('description', { description: 'What it is about; may be empty.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When this version was stored.' }),
    concepts: t.field({
      type: [ConceptRef],
      description: 'Its concepts, in the order of their slots.',
      complexity: { field: 1, multiplier: 10 },
      resolve: (ontology, _args, { loaders }) => loaders.load(conceptsOfOntologies, ontology.id),
    }),
    datasets: t.connection(
      {
        type: DatasetRef,
        description: 'The datasets whose prompts are about its concepts, newest first.',
        resolve: (ontology, args, { loaders }) =>
          loaders.loadPage(pageDatasetsOfOntologies, ontology.id, args),
      },
      DatasetConnection,
    ),
  }),
});

builder.node(ConceptRef, {
  description:
    'A member of an ontology, such as the relation "birth city": what a prompt asks about, and what a slot is dedicated to.',
  id: { resolve: (concept) => concept.id },
  loadOne: (id, { loaders }) => loaders.load(conceptsByIds, id),
  fields: (t) => ({
    key: t.exposeString('key', {
      description: 'Its name for machines, unique in its ontology, such as `birth_city`.',
    }),
    label: t.exposeString('label', { description: 'Its name for people, such as `birth city`.' }),
    description: t.exposeString('description', { description: 'What it means; may be empty.' }),
    position: t.exposeInt('position', {
      description: 'Its place in the ontology, from 0: its slot is latent number `nFree + position`.',
    }),
    ontology: t.field({
      type: OntologyRef,
      description: 'The ontology that it belongs to.',
      resolve: async ({ ontologyId }, _args, { loaders }) =>
        (await loaders.load(ontologiesByIds, ontologyId))!,
    }),
    slots: t.connection(
      {
        type: SlotRef,
        description: 'The slots that alignment runs have dedicated to it.',
        resolve: (concept, args, { loaders }) => loaders.loadPage(pageSlotsOfConcepts, concept.id, args),
      },
      SlotConnection,
    ),
  }),
});

builder.queryFields((t) => ({
  ontology: t.field({
    type: OntologyRef,
    nullable: true,
    description: 'The ontology of this slug; null when there is none.',
    args: {
      slug: t.arg.string({ required: true, description: 'Its name for machines.' }),
      version: t.arg.int({ required: false, description: 'Which version; the newest when left out.' }),
    },
    resolve: (_root, { slug, version }, { db }) => findOntology(db, slug, version ?? null),
  }),
  ontologies: t.connection(
    {
      type: OntologyRef,
      description: 'All versions of all ontologies, newest first.',
      resolve: (_root, args, { db }) => listOntologies(db, args),
    },
    OntologyConnection,
  ),
}));

const NewConceptInput = builder.inputType('NewConceptInput', {
  description: 'A concept of a new ontology.',
  fields: (t) => ({
    key: t.string({
      required: true,
      description:
        'Name for machines, unique in the ontology: lower-case letters, digits and underscores, such as `birth_city`.',
    }),
    label: t.string({
      required: false,
      description: 'Name for people. Default: the key with spaces for underscores.',
    }),
    description: t.string({ required: false, description: 'What it means. Default: empty.' }),
  }),
});

addMutation('createOntology', {
  description: 'Stores an ontology, or the next version of one.',
  scope: 'run',
  input: builder.inputType('CreateOntologyInput', {
    description: 'The ontology to be stored.',
    fields: (t) => ({
      slug: t.string({
        required: true,
        description: 'Name for machines: lower-case words joined by hyphens, such as `family-relations`.',
      }),
      name: t.string({ required: false, description: 'Name for people. Default: the slug.' }),
      description: t.string({ required: false, description: 'What it is about. Default: empty.' }),
      version: t.int({
        required: false,
        description: 'Of an ontology that exists: its newest version + 1. Default: 1.',
      }),
      concepts: t.field({
        type: [NewConceptInput],
        required: true,
        description: 'Its concepts, at least one, in the order that their slots shall have.',
      }),
      ...labelInput(t),
    }),
  }),
  success: builder.objectRef<{ ontology: Ontology }>('CreateOntologySuccess').implement({
    description: 'The ontology was stored.',
    fields: (t) => ({
      ontology: t.field({
        type: OntologyRef,
        description: 'The stored ontology.',
        resolve: ({ ontology }) => ontology,
      }),
    }),
  }),
  errors: ['INVALID_INPUT', 'CONFLICT'],
  resolve: async (input, { db }) => {
    const { labels, rest } = takeLabels(withoutNulls(input));
    return { ontology: await makeLabelled(db, 'Ontology', labels, () => createOntology(db, rest)) };
  },
});

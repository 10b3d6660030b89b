/** Runs that measure what a model knows of a dataset. */
import type { ConceptKnowledge } from '../../engine/contract/knowledge.ts';
import { startKnowledgeRun } from '../../runs/knowledge.ts';
import { type Run, resultOf, settingsOf } from '../../services/run.ts';
import { builder } from '../builder.ts';
import { conceptOfRun } from '../conceptOfRun.ts';
import { KnowledgeSettingsTypes } from '../knowledgeSettings.ts';
import { namedInput } from '../labels.ts';
import { RateRef } from '../rate.ts';
import { SplitRef } from '../split.ts';
import { addRunNode, addStart, priorityInput, studiedInput, studiedOf } from './node.ts';

const ConceptKnowledgeRef = builder
  .objectRef<ConceptKnowledge & { runId: string }>('ConceptKnowledge')
  .implement({
    description: 'What a model knows of a concept: the prompts about it that it answers right by itself.',
    fields: (t) => ({
      concept: t.field(conceptOfRun('The concept.', (known) => known)),
      split: t.field({
        type: SplitRef,
        description: 'Which phrasings are asked.',
        resolve: ({ split }) => split,
      }),
      known: t.field({
        type: RateRef,
        description:
          'Of the prompts asked those whose whole greedy answer is one that counts; any accepted answer does.',
        resolve: ({ asked, right }) => ({ trials: asked, successes: right }),
      }),
    }),
  });

export const knowledgeRun = addRunNode('KNOWLEDGE', {
  does: 'Asks a model a sample of a dataset’s prompts and counts what it answers right by itself; a `KnowledgeRun`.',
  description:
    'A run that measures what a language model knows of a dataset. What it does not know cannot be swapped: see `knownOnly`.',
  fields: (t) => ({
    settings: t.field({
      type: KnowledgeSettingsTypes.output,
      description: 'Which prompts are asked.',
      resolve: (run) => settingsOf(run, 'KNOWLEDGE'),
    }),
    concepts: t.field({
      type: [ConceptKnowledgeRef],
      description:
        'Concept by concept in the order of the ontology, a split each; those of which nothing is asked are left out. Empty before the end.',
      args: { split: t.arg({ type: SplitRef, required: false, description: 'This split alone.' }) },
      resolve: (run, { split }) => knownOf(run).filter((one) => split == null || one.split === split),
    }),
  }),
});

const knownOf = (run: Run) =>
  (resultOf(run, 'KNOWLEDGE')?.known ?? []).map((one) => ({ ...one, runId: run.id }));

addStart('startKnowledgeRun', {
  description:
    'Queues the measurement of what a model knows of a dataset: prompts of one concept, asked unedited. Returns its run at once.',
  input: builder.inputType('StartKnowledgeRunInput', {
    description: 'Which model to ask, and what.',
    fields: (t) => ({
      ...namedInput(t),
      ...priorityInput(t),
      ...studiedInput(
        t,
        'The dataset whose prompts are asked. Default: the one that the model was trained on.',
      ),
      settings: t.field({
        type: KnowledgeSettingsTypes.input,
        required: false,
        description: 'Which prompts to ask.',
      }),
    }),
  }),
  start: (db, { settings, ...named }) => startKnowledgeRun(db, { ...studiedOf(named), settings }),
});

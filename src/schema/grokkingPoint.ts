/** What a grokking run measures of a checkpoint. */
import { conceptsOfDatasets } from '../runs/concepts.ts';
import {
  type GrokkingPoint,
  type HopBinding,
  lastBindingsOfRuns,
  slotCosinesOfRuns,
  slotKey,
} from '../services/grokking.ts';
import { runsByIds } from '../services/run.ts';
import { builder } from './builder.ts';
import { finiteOrNull } from './finite.ts';
import { RateRef } from './rate.ts';
import { ConceptRef, GrokkingPointRef } from './refs.ts';

/** A hop's binding, with the number of questions behind its shares. */
interface HopShape extends HopBinding {
  questions: number;
  /** Whether the SAEs of the last checkpoint read it. */
  byLast?: boolean;
}

const rateOf = (share: number, trials: number) => ({ trials, successes: Math.round(share * trials) });
const shareOf = (successes: number, trials: number) => (trials === 0 ? null : successes / trials);

const HopBindingRef = builder.objectRef<HopShape>('HopBinding').implement({
  description:
    'How the slots of one hop bind on held-out questions. Hop 1 is read where E2 is predicted and belongs to the first relation, hop 2 at E2, where E3 is predicted, and belongs to the second.',
  fields: (t) => ({
    hop: t.exposeInt('hop', { description: '1 or 2.' }),
    top1: t.exposeFloat('top1', {
      description: 'Binding accuracy: share of questions whose strongest slot is their relation’s, 0–1.',
    }),
    top3: t.exposeFloat('top3', {
      description: 'Share of questions whose relation’s slot is among the three strongest.',
    }),
    top5: t.exposeFloat('top5', {
      description: 'Share of questions whose relation’s slot is among the five strongest.',
    }),
    top1Rate: t.field({
      type: RateRef,
      description: '`top1` with its counts and confidence interval.',
      resolve: ({ top1, questions }) => rateOf(top1, questions),
    }),
    top3Rate: t.field({
      type: RateRef,
      description: '`top3` with its counts and confidence interval.',
      resolve: ({ top3, questions }) => rateOf(top3, questions),
    }),
    top5Rate: t.field({
      type: RateRef,
      description: '`top5` with its counts and confidence interval.',
      resolve: ({ top5, questions }) => rateOf(top5, questions),
    }),
    diagonalStrength: t.exposeFloat('diagonalStrength', {
      description:
        'Mean of the row-normalised diagonal of `matrix`, 0–1: how far each slot is its relation’s.',
    }),
    concepts: t.field({
      type: [ConceptRef],
      description: 'The relations behind the rows and columns of `matrix`, in the order of the ontology.',
      resolve: async ({ runId }, _args, { loaders }) => {
        const run = await loaders.load(runsByIds, runId);
        return loaders.load(conceptsOfDatasets, run!.datasetId);
      },
    }),
    matrix: t.field({
      type: t.listRef(t.listRef('Float')),
      description:
        'The binding matrix: a row a relation, in the order of the ontology, and in it for each slot the share of the relation’s questions whose strongest slot it is.',
      complexity: { field: 1, multiplier: 1 },
      resolve: ({ matrix }) => matrix,
    }),
    ablationEffect: t.exposeFloat('ablationEffect', {
      description:
        'By how much held-out accuracy falls when this hop’s slots are set to 0; negative where it rises.',
    }),
    slotCosines: t.field({
      type: ['Float'],
      nullable: true,
      description:
        'For each relation the cosine between its slot’s direction (decoder column) here and at the last checkpoint; null until the run has succeeded, and in `bindingByLast`, whose slots are those of the last. Only where analyses begin alike, with one seed, can directions be compared.',
      resolve: async (hop, _args, { loaders }) =>
        hop.byLast ? null : (await loaders.load(slotCosinesOfRuns, hop.runId))?.get(slotKey(hop)),
    }),
  }),
});

GrokkingPointRef.implement({
  description: 'A two-hop model at one checkpoint of its training: what it answers, and how its slots bind.',
  fields: (t) => ({
    step: t.exposeInt('step', { description: 'Training steps behind it; 0 is before training.' }),
    trainAccuracy: t.float({
      nullable: true,
      description: 'Share of TRAIN questions answered whole and right, 0–1.',
      resolve: (point) => shareOf(point.trainCorrect, point.trainQuestions),
    }),
    train: t.field({
      type: RateRef,
      description: '`trainAccuracy` with its counts and confidence interval.',
      resolve: (point) => ({ trials: point.trainQuestions, successes: point.trainCorrect }),
    }),
    heldOutAccuracy: t.float({
      nullable: true,
      description: 'Share of held-out questions (VALIDATION) answered whole and right: composition, 0–1.',
      resolve: (point) => shareOf(point.heldOutCorrect, point.heldOutQuestions),
    }),
    heldOut: t.field({
      type: RateRef,
      description: '`heldOutAccuracy` with its counts and confidence interval.',
      resolve: (point) => ({ trials: point.heldOutQuestions, successes: point.heldOutCorrect }),
    }),
    oneHopAccuracy: t.float({
      nullable: true,
      description: 'Share of single facts that the model knows, 0–1; null where the dataset states none.',
      resolve: (point) => shareOf(point.oneHopCorrect ?? 0, point.oneHopQuestions ?? 0),
    }),
    oneHop: t.field({
      type: RateRef,
      nullable: true,
      description: '`oneHopAccuracy` with its counts and confidence interval.',
      resolve: ({ oneHopCorrect, oneHopQuestions }) =>
        oneHopCorrect === null || oneHopQuestions === null
          ? null
          : { trials: oneHopQuestions, successes: oneHopCorrect },
    }),
    loss: t.float({
      nullable: true,
      description: 'Cross-entropy of the answers of TRAIN questions, nats a token; null if not finite.',
      resolve: ({ loss }) => finiteOrNull(loss),
    }),
    weightNorm: t.float({
      nullable: true,
      description: 'Euclidean norm of all weights of the model together; null if not finite.',
      resolve: ({ weightNorm }) => finiteOrNull(weightNorm),
    }),
    logitMargin: t.float({
      nullable: true,
      description:
        'Mean over held-out questions of the answer’s logit minus that of the best other token, at the token that says E3; null if not finite.',
      resolve: ({ logitMargin }) => finiteOrNull(logitMargin),
    }),
    binding: t.field({
      type: [HopBindingRef],
      description: 'Hop 1, then hop 2.',
      complexity: { field: 1, multiplier: 2 },
      resolve: ({ hops, heldOutQuestions }: GrokkingPoint) =>
        hops.map((hop) => ({ ...hop, questions: heldOutQuestions })),
    }),
    bindingByLast: t.field({
      type: [HopBindingRef],
      description:
        'The same, read by the SAEs of the last checkpoint with their normalisation; empty unless the run was started with `lastSae`, and until they are there.',
      complexity: { field: 1, multiplier: 2 },
      resolve: async ({ runId, step, heldOutQuestions }: GrokkingPoint, _args, { loaders }) =>
        (await loaders.load(lastBindingsOfRuns, runId))
          .filter((hop) => hop.step === step)
          .map((hop) => ({ ...hop, questions: heldOutQuestions, byLast: true })),
    }),
  }),
});

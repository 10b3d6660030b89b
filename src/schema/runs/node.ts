/** How a kind of run joins the schema: the type that shows it, and the mutation that starts it. */
import type { InputObjectRef, ObjectFieldsShape } from '@pothos/core';
import type { RunKind } from '../../engine/contract/runs.ts';
import type { Labels } from '../../services/labels.ts';
import { type Client, MAX_PRIORITY, placeOrder } from '../../services/order.ts';
import { type Run, runsByIds } from '../../services/run.ts';
import { builder, type SchemaTypes } from '../builder.ts';
import type { Context } from '../context.ts';
import { idOf } from '../ids.ts';
import { type WithoutNulls, withoutNulls } from '../input.ts';
import { addMutation } from '../mutation.ts';
import { RUN_REFS, RunRef } from '../refs.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;

/** Adds fields to a type that shows runs. */
export type FieldBuilder = PothosSchemaTypes.ObjectFieldBuilder<Types, Run>;

export interface RunNode {
  /** What such a run does, for the enumeration of kinds. */
  does: string;
}

/** Adds the type of a kind: what every run has, and these fields. */
export function addRunNode(
  kind: RunKind,
  { does, description, fields }: RunNode & { description: string; fields: ObjectFieldsShape<Types, Run> },
): RunNode {
  builder.node(RUN_REFS[kind], {
    description,
    interfaces: [RunRef],
    id: { resolve: (run) => run.id },
    loadOne: async (id: string, { loaders }: Context) => {
      const run = await loaders.load(runsByIds, id);
      return run?.kind === kind ? run : null;
    },
    fields,
  });
  return { does };
}

export const StartRunSuccess = builder.objectRef<{ run: Run }>('StartRunSuccess').implement({
  description: 'A run was queued; it goes on by itself.',
  fields: (t) => ({
    run: t.field({ type: RunRef, description: 'The queued run.', resolve: ({ run }) => run }),
  }),
});

export const PRIORITY = `Of runs that wait, those with the highest are taken up first; a whole number from ${-MAX_PRIORITY} to ${MAX_PRIORITY}.`;

/** How urgent a new run is. */
export function priorityInput(t: PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>) {
  return { priority: t.int({ required: false, description: `${PRIORITY} Default: 0.` }) };
}

/** On whose behalf runs are started. */
export function clientOf({ viewer, limits }: Context): Client {
  return { apiKeyId: viewer.keyId, maxQueued: limits.queuedRuns };
}

type StartDb = Parameters<Parameters<typeof placeOrder>[3]>[0];

/** Adds a mutation that queues a run. `start` is given the input without its nulls. */
export function addStart<Input extends { [K in keyof Labels]?: Labels[K] | null }>(
  name: string,
  options: {
    description: string;
    input: InputObjectRef<Types, Input>;
    start(db: StartDb, input: Omit<WithoutNulls<Input>, keyof Labels | 'priority'>): Promise<Run>;
  },
): void {
  const { description, input, start } = options;
  addMutation(name, {
    description,
    scope: 'run',
    input,
    success: StartRunSuccess,
    errors: ['INVALID_INPUT', 'NOT_FOUND'],
    resolve: async (given, context) => {
      const {
        name: called,
        tags,
        notes,
        priority,
        ...rest
      } = withoutNulls(given) as WithoutNulls<Input> & Labels & { priority?: number };
      const order = { name: called, tags, notes, priority };
      return { run: await placeOrder(context.db, clientOf(context), order, (tx) => start(tx, rest)) };
    },
  });
}

/** Which model to study, on which prompts. */
export function studiedInput(t: PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>, dataset: string) {
  return {
    modelId: t.id({ required: true, description: 'The model to study.' }),
    datasetId: t.id({ required: false, description: dataset }),
  };
}

/** The corpus that a run reads. */
export function corpusInput(t: PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>, settings: string) {
  return {
    corpusId: t.id({
      required: false,
      description: `The corpus whose texts are read where ${settings} says TEXTS; to be left out otherwise.`,
    }),
  };
}

export const corpusOf = ({ corpusId }: { corpusId?: string }) => ({
  corpusId: corpusId && idOf(corpusId, ['Corpus'], ['corpusId']),
});

/** The SAE that alignments begin with. */
export function pretrainedInput(t: PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>) {
  return {
    pretrainedSaeId: t.id({
      required: false,
      description:
        'An SAE of this model without slots, imported or trained here, to begin with: its latents become the free latents, slots are added, and the first stage is left out unless `pretrain.steps` is given. It decides `layer`, `nFree`, `activation` and `k`; `freezeFree` keeps its latents as they are. Encoder and decoder keep their numbers; activations count in units of the new normalisation. Default: weights are drawn.',
    }),
  };
}

export const pretrainedOf = ({ pretrainedSaeId }: { pretrainedSaeId?: string }) => ({
  pretrainedSaeId: pretrainedSaeId && idOf(pretrainedSaeId, ['Sae'], ['pretrainedSaeId']),
});

/** The uuids of what `studiedInput` names. */
export function studiedOf({ modelId, datasetId }: { modelId: string; datasetId?: string }) {
  return {
    modelId: idOf(modelId, ['Model'], ['modelId']),
    datasetId: datasetId && idOf(datasetId, ['Dataset'], ['datasetId']),
  };
}

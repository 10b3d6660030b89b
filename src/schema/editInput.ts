/** What to edit in the residual stream, how and where, as clients write it. */
import { editAction } from '../engine/contract/edits.ts';
import {
  armedSettings,
  type EditInput,
  editSettings,
  MAX_EDITS,
  placeSettings,
} from '../services/editInput.ts';
import { builder } from './builder.ts';
import { conceptKeyOrId, idOf } from './ids.ts';
import { type WithoutNulls, withoutNulls } from './input.ts';
import { enumFrom, settingFields } from './settings.ts';

const ConceptDifferenceInput = builder.inputType('ConceptDifferenceInput', {
  description:
    'A direction from one concept to another: the mean activation of TRAIN prompts about the one less that of those about the other, at their last token, of entities that the SAE learned from.',
  fields: (t) => ({
    of: t.string({ required: true, description: 'The concept that it points to: its key or its id.' }),
    from: t.string({ required: true, description: 'The concept that it comes from: its key or its id.' }),
    datasetId: t.id({
      required: false,
      description: "Id of the dataset whose prompts are meant. Default: the SAE's own.",
    }),
  }),
});

const EditTargetInput = builder.inputType('EditTargetInput', {
  description: 'A latent of the SAE, or a direction of the activations that it reads.',
  isOneOf: true,
  fields: (t) => ({
    concept: t.string({
      required: false,
      description: "The slot that is dedicated to a concept, by the concept's key or its id.",
    }),
    latent: t.int({
      required: false,
      description: 'Any latent by its number: free latents from 0, then slots.',
    }),
    difference: t.field({
      type: ConceptDifferenceInput,
      required: false,
      description: 'The direction from one concept to another.',
    }),
    vector: t.floatList({
      required: false,
      description:
        "A direction of your own: as many numbers as the model's activations have (`Sae.dModel`), -1,000,000 to 1,000,000 each, in the units of the residual stream; not all 0.",
    }),
  }),
});

const EditArmedInput = builder.inputType('EditArmedInput', {
  description:
    'The latent by which an edit fires, its trigger. Give `concept` or `latent`; neither of them in a SWAP, whose source is the trigger then. An armed edit is never made at a sink, an activation far longer than the others.',
  fields: (t) => settingFields(t, armedSettings),
});

const EditPlaceInput = builder.inputType('EditPlaceInput', {
  description: 'Where an edit is made.',
  fields: (t) => ({
    ...settingFields(t, placeSettings),
    armed: t.field({
      type: EditArmedInput,
      required: false,
      description:
        'Makes the edit only where a latent is on. Default: it is made at all tokens of its place.',
    }),
  }),
});

export const EditInputRef = builder.inputType('EditInput', {
  description:
    'An edit of the residual stream after the block that the SAE reads. `strength`, times alpha, is what a latent is SET to or multiplied by (SCALE), how often a target is ADDed, the share that is taken away (ABLATE), or the alpha of a SWAP.',
  fields: (t) => ({
    target: t.field({
      type: EditTargetInput,
      required: true,
      description: 'What is edited; of a SWAP, what is turned on.',
    }),
    action: t.field({
      type: enumFrom(editAction),
      required: true,
      description: 'What to do with the target.',
    }),
    source: t.field({
      type: EditTargetInput,
      required: false,
      description:
        'Of a SWAP: what is turned off. Default: the strongest slot at the last prompt token, where the SAE has slots.',
    }),
    ...settingFields(t, editSettings),
    place: t.field({
      type: EditPlaceInput,
      required: false,
      description: 'Where it is made. Default: at the last prompt token and every new one.',
    }),
  }),
});

export const EDITS_DESCRIPTION = `At most ${MAX_EDITS}; where several are made at one token, each edits what the one before it made.`;

type Given = WithoutNulls<typeof EditInputRef.$inferInput>;
type Target = Given['target'];

/** With ids as services take them. */
export function editsFrom(edits: readonly (typeof EditInputRef.$inferInput)[]): EditInput[] {
  return withoutNulls([...edits]).map(({ target, source, place, ...rest }, i) => ({
    ...rest,
    target: targetFrom(target, ['edits', String(i), 'target']),
    source: source && targetFrom(source, ['edits', String(i), 'source']),
    place: place && {
      ...place,
      armed: place.armed && { ...place.armed, concept: keyOrId(place.armed.concept) },
    },
  }));
}

function targetFrom({ concept, difference, ...rest }: Target, path: readonly string[]): EditInput['target'] {
  if (!difference) return { ...rest, concept: keyOrId(concept) };
  const { of, from, datasetId } = difference;
  const dataset = datasetId && idOf(datasetId, ['Dataset'], [...path, 'difference', 'datasetId']);
  return { difference: { of: conceptKeyOrId(of), from: conceptKeyOrId(from), datasetId: dataset } };
}

function keyOrId(concept: string | undefined): string | undefined {
  return concept === undefined ? undefined : conceptKeyOrId(concept);
}

/** Edits as callers write them. */
import { z } from 'zod';
import { number, whole, withFallback } from '../engine/contract/describe.ts';
import { editAction, editPositions, SLOT_ON, type SteeringEdit } from '../engine/contract/edits.ts';
import { swapMethod } from '../engine/contract/swap.ts';

export const MAX_EDITS = 16;
const MAX_TOKENS_NAMED = 256;
const MAX_STEP = 256;
const MAX_WIDTH = 65_536;

/** What an edit does, with what a client may say of it in plain values. */
export const editSettings = z.strictObject({
  strength: number(-1e6, 1e6)
    .describe(
      'How much of it; what it counts is said at `EditAction`, and every alpha of a request multiplies it.',
    )
    .default(1),
  method: withFallback(
    swapMethod
      .describe('Of SWAP: how it is made. With a direction, DECODER_COLUMN and DECODER_PAIR alone can.')
      .optional(),
    'LATENT_DECODE, or DECODER_PAIR with a direction',
  ),
  keepsError: withFallback(
    z
      .boolean()
      .describe(
        'Of a latent that is SET, SCALEd or ABLATEd: whether what the SAE does not reconstruct of the activation stays in it. False: the reconstruction takes its place.',
      )
      .optional(),
    'true',
  ),
  relative: withFallback(
    z
      .boolean()
      .describe(
        "Of ADD: true adds `strength` times the activation's own length in the target's direction, rather than `strength` times the target.",
      )
      .optional(),
    'false',
  ),
});

/** Where an edit is made, in plain values. */
export const placeSettings = z.strictObject({
  positions: withFallback(
    editPositions.describe('Which tokens, unless they are named one by one.').optional(),
    'ANSWER',
  ),
  tokens: z
    .array(whole(0, 1_000_000))
    .min(1)
    .max(MAX_TOKENS_NAMED)
    .describe('Tokens of the prompt by their position, from 0, and no others.')
    .optional(),
  fromStep: withFallback(
    whole(0, MAX_STEP)
      .describe('First step at which it is made: step 0 is the last prompt token, step n the n-th new token.')
      .optional(),
    'the first of `positions`',
  ),
  untilStep: withFallback(
    whole(0, MAX_STEP).describe('Last step at which it is made, at least `fromStep`.').optional(),
    'the end',
  ),
});

/** What a trigger is, in plain values. */
export const armedSettings = z.strictObject({
  concept: z.string().describe('The concept whose slot is the trigger: its key or its id.').optional(),
  latent: whole(0, 100_000_000)
    .describe('The trigger by its number in the SAE, free latents first.')
    .optional(),
  above: withFallback(
    number(-1e6, 1e6)
      .describe('The edit is made where the trigger is above this, before any edit.')
      .optional(),
    `${SLOT_ON} for a slot; of a free latent it must be given`,
  ),
});

const target = z.strictObject({
  concept: z.string().optional(),
  latent: whole(0, 100_000_000).optional(),
  difference: z.strictObject({ of: z.string(), from: z.string(), datasetId: z.uuid().optional() }).optional(),
  vector: z.array(z.number()).min(1).max(MAX_WIDTH).optional(),
});

const STEPS = ['fromStep', 'untilStep'] as const;
const place = placeSettings.extend({ armed: armedSettings.optional() }).superRefine((given, ctx) => {
  const refuse = (field: string, message: string) => ctx.addIssue({ code: 'custom', path: [field], message });
  const { positions, tokens, fromStep = 0, untilStep } = given;
  const steps = STEPS.filter((step) => given[step] !== undefined);
  if (tokens && positions) refuse('positions', 'positions must be left out where tokens are named');
  for (const step of steps)
    if (tokens || positions === 'LAST_TOKEN')
      refuse(step, `${step} goes with the positions ANSWER and ALL; leave it out`);
  if (untilStep !== undefined && untilStep < fromStep)
    refuse('untilStep', 'untilStep must be at least fromStep');
  if (given.armed?.concept !== undefined && given.armed.latent !== undefined)
    refuse('armed', 'armed must name either a concept or a latent');
});

/** Which actions a field says something about. */
const GOES_WITH = {
  source: ['SWAP'],
  method: ['SWAP'],
  relative: ['ADD'],
  keepsError: ['SET', 'SCALE', 'ABLATE'],
} as const satisfies Record<string, readonly SteeringEdit['action'][]>;

export const editInput = editSettings
  .extend({ action: editAction, target, source: target.optional(), place: place.optional() })
  .superRefine((given, ctx) => {
    for (const [field, actions] of Object.entries(GOES_WITH))
      if (
        given[field as keyof typeof GOES_WITH] !== undefined &&
        !(actions as readonly string[]).includes(given.action)
      )
        ctx.addIssue({
          code: 'custom',
          path: [field],
          message: `${field} goes with ${actions.join(', ')}; leave it out of ${given.action}`,
        });
  });
export const editsInput = z.array(editInput).max(MAX_EDITS);
export type EditInput = z.input<typeof editInput>;
export type Edit = z.output<typeof editInput>;

/** A concept swap: edit one prompt's latents, decode, let the model go on, compare with the target's fact. */
import { z } from 'zod';
import type { Prompt } from './dataset.ts';
import { namedEnum, someOf } from './describe.ts';
import type { ModelRef } from './model.ts';

export const cellMethod = namedEnum(
  'SwapMethod',
  'How the edit reaches the residual stream `h`. `z` is the code of h in the SAE, `d_b` the decoder column of slot b.',
  {
    LATENT_DECODE: 'Set slot a to 0 and slot b to alpha in z, decode, and put the result in the place of h.',
    LATENT_DELTA:
      'Edit z likewise, but add only the change of the decoded vector to h, so that the reconstruction error does no harm.',
    DECODER_COLUMN: 'Add `alpha · |h| / |d_b| · d_b` to h.',
    DECODER_PAIR: 'Like DECODER_COLUMN, and subtract the column of slot a likewise.',
    ORTHOGONAL: 'Like DECODER_COLUMN, with d_b first made orthogonal to the columns of the other slots.',
    MEAN_DIFFERENCE: 'Add `alpha · (mean h of prompts about b − mean h of prompts about a)`; uses no SAE.',
    REPLACEMENT:
      'Put another activation in the place of h, whatever alpha: what the controls TRUE_ACTIVATION and SUM of a sweep do, and in a subspace DAS, and nothing else does.',
    PROBE_DIRECTION:
      'Add `alpha · ((mean h of prompts about b − mean h of prompts about a) · w) · w` to h, `w` at length 1 being the weights of b less those of a in a linear probe: what the control LINEAR_PROBE of a sweep does.',
    NONE: 'No edit, whatever alpha: what the control PROMPT of a sweep does.',
  },
);
/** How a cell of a sweep edits. */
export type CellMethod = z.output<typeof cellMethod>;

/** The six ways that a swap can be asked for. */
export const swapMethod = someOf(cellMethod, [
  'LATENT_DECODE',
  'LATENT_DELTA',
  'DECODER_COLUMN',
  'DECODER_PAIR',
  'ORTHOGONAL',
  'MEAN_DIFFERENCE',
]);
export type SwapMethod = z.output<typeof swapMethod>;
export const SWAP_METHODS: readonly SwapMethod[] = swapMethod.options;

export const swapPlacement = namedEnum(
  'SweepPlacement',
  'Where a swap edits. It works where it covers every position from which the blocks above still read what is asked.',
  {
    LAST_TOKEN: 'At the last prompt token, always.',
    ANSWER:
      'At the last prompt token and at every token of the answer, each time from the activation that the model computes there.',
    ARMED:
      'At every position of prompt and answer where the source is on: its slot above 0.5, or another latent above half its mean activation.',
  },
);
export type SwapPlacement = z.output<typeof swapPlacement>;

/** At the tokens of an answer, where none is named: what a bound slot reads there; an armed swap has one alpha. */
export function laterAlpha(placement: SwapPlacement, alpha: number, named: number | undefined): number {
  return named ?? (placement === 'ANSWER' ? 1 : alpha);
}

export const swapPopulation = namedEnum(
  'SwapPopulation',
  'The entities that the prompts of measured swaps are about.',
  {
    VALIDATION: 'Entities that the SAE never saw, on which alpha is chosen; do not report these.',
    UNSEEN: 'Entities that the SAE never saw, and that chose nothing: the figure to report.',
    SEEN: 'Entities that the SAE was trained on.',
  },
);

/** Of the swaps after an alignment, and of a sweep's. */
export const knownOnly = z
  .boolean()
  .describe(
    'Whether swaps are left out of which the model does not know both answers: unedited it must answer the swap’s own prompt right, and the prompt that asks the target of the same entity in the same phrasing. Others are drawn in their place as far as there are any, and what was left out is counted. Either way success is told over these swaps apart, in `known`.',
  )
  .default(false);

export interface SwapCall {
  model: ModelRef;
  /** Path of the alignment's `.safetensors`; its metadata holds settings and normalisation. */
  sae: string;
  prompt: string;
  /** Concept indices; null source means the prompt's strongest slot. */
  source: number | null;
  target: number;
  method: SwapMethod;
  alpha: number;
  placement: SwapPlacement;
  /** Alpha at the tokens of the answer, where they are edited; the same as `alpha` if left out. */
  alphaLater?: number;
  maxNewTokens: number;
  /** Where the prompt is a dataset's: what is asked there of its entity, in its split, about both concepts. */
  asked?: { prompts: readonly Prompt[]; id: Prompt['id'] } | undefined;
}

export interface Continuation {
  text: string;
  tokens: { text: string; probability: number }[];
}

export interface SwapResult {
  source: number;
  target: number;
  baseline: Continuation;
  result: Continuation;
  /** Whether the model answers the prompt and that of the target right unedited; null where `asked` does not have them. */
  known: boolean | null;
  /** Activations of all slots at the edited position, before and after the edit. */
  slots: { index: number; concept: number; before: number; after: number }[];
}

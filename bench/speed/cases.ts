/** What is compared with what, and how far ours should come. */
import type { ModelConfig } from '../../src/engine/contract/model.ts';
import {
  COUNTERFACTUAL,
  DEFAULTS,
  GPT2_SMALL,
  modelStep,
  modelStepOf,
  ONE_HOP,
  PAPER,
  posttrain,
  pretrain,
  SMOLLM2,
  TWO_HOP,
} from './recipes.ts';
import type { GivenWork, ServedWork, SweepWork } from './work.ts';

/** One way in which a peer can do the work; the fastest of a case's counts. */
export interface Peer {
  /** What runs it: the Python worker, or our own for a comparison with a plain use of this project. */
  by: 'PYTHON' | 'OURS';
  variant: string;
}

export interface Case {
  /** Names the case on the command line and its file of results. */
  name: string;
  title: string;
  work: GivenWork | ServedWork | SweepWork;
  peers: Peer[];
  /** What the time should be at most, as a share of the peer's. */
  goal: number | null;
  /** The same for peak memory. */
  memoryGoal?: number;
  /** How far the two sides' numbers may be apart, relative to the largest of them. */
  tolerance: number;
}

const ADAMW: Peer[] = [
  { by: 'PYTHON', variant: 'PyTorch, AdamW' },
  { by: 'PYTHON', variant: 'PyTorch, fused AdamW' },
];
const TRANSFORMERS: Peer[] = ADAMW.map(({ by, variant }) => ({
  by,
  variant: variant.replace('PyTorch', 'transformers'),
}));
const SAELENS: Peer = { by: 'PYTHON', variant: 'SAELens' };
/** Losses of the first three steps: the second and third tell whether gradients and updates agree. */
const LOSS_TOLERANCE = 1e-4;

const stepCases: Omit<Case, 'tolerance'>[] = [
  {
    name: 'posttrain-linear',
    title: 'post-training, linear, d 768, 10,000 + 6, batch 64',
    work: posttrain(ONE_HOP, 64),
    peers: ADAMW,
    goal: 0.6,
  },
  {
    name: 'posttrain-relu',
    title: 'the same, ReLU, 1% of the latents firing',
    work: posttrain(ONE_HOP, 64, { activation: 'RELU', firing: 0.01 }),
    peers: ADAMW,
    goal: 0.4,
  },
  {
    name: 'posttrain-relu-half',
    title: 'the same, ReLU, half of the latents firing (untrained)',
    work: posttrain(ONE_HOP, 64, { activation: 'RELU' }),
    peers: ADAMW,
    goal: null,
  },
  {
    name: 'posttrain-topk',
    title: 'the same, TopK, k 32',
    work: posttrain(ONE_HOP, 64, { activation: 'TOPK' }),
    peers: ADAMW,
    goal: 0.4,
  },
  {
    name: 'posttrain-512',
    title: 'the same, linear, batch 512',
    work: posttrain(ONE_HOP, 512),
    peers: ADAMW,
    goal: 0.6,
  },
  {
    name: 'posttrain-100k',
    title: 'post-training, linear, d 512, 100,000 + 20, batch 64',
    work: posttrain(TWO_HOP, 64),
    peers: ADAMW,
    goal: 0.6,
    memoryGoal: 0.8,
  },
  {
    name: 'posttrain-small',
    title: 'post-training, linear, d 64, 1,024 + 6, batch 256, terms of PAPER',
    work: posttrain(DEFAULTS, 256, { coefficients: PAPER }),
    peers: ADAMW,
    goal: 0.6,
  },
  {
    name: 'posttrain-counterfactual',
    title: 'the same, ReLU, terms of COUNTERFACTUAL',
    work: posttrain(DEFAULTS, 256, COUNTERFACTUAL),
    peers: ADAMW,
    goal: 0.6,
  },
  {
    name: 'pretrain-topk',
    title: 'pre-training, TopK, k 32, d 768, 10,000, batch 4096',
    work: pretrain(ONE_HOP, 4096, { activation: 'TOPK', decoderNorm: 'FREE' }),
    peers: [
      { by: 'PYTHON', variant: 'SAELens, rescale_acts_by_decoder_norm=False' },
      { by: 'PYTHON', variant: 'SAELens, rescale_acts_by_decoder_norm=False, use_sparse_activations=True' },
    ],
    goal: 0.2,
  },
  {
    name: 'pretrain-topk-unit',
    title: "the same, decoder rows counted at length 1 (SAELens' default)",
    work: pretrain(ONE_HOP, 4096, { activation: 'TOPK', decoderNorm: 'UNIT' }),
    peers: [SAELENS],
    goal: 0.2,
  },
  {
    name: 'pretrain-relu',
    title: 'pre-training, ReLU and L1, d 768, 10,000, batch 4096, 1% of the latents firing',
    work: pretrain(ONE_HOP, 4096, { activation: 'RELU', decoderNorm: 'UNIT', firing: 0.01 }),
    peers: [SAELENS],
    goal: 0.5,
  },
  {
    name: 'pretrain-relu-half',
    title: 'the same, half of the latents firing (untrained)',
    work: pretrain(ONE_HOP, 4096, { activation: 'RELU', decoderNorm: 'UNIT' }),
    peers: [SAELENS],
    goal: null,
  },
  {
    name: 'model-64',
    title: 'model training, d 64, 4 layers, 64 × 16 tokens',
    work: modelStep(64, 4, 16),
    peers: TRANSFORMERS,
    goal: 0.6,
  },
  {
    name: 'model-128',
    title: 'model training, d 128, 4 layers, 64 × 48 tokens',
    work: modelStep(128, 4, 48),
    peers: TRANSFORMERS,
    goal: 0.6,
  },
  {
    name: 'model-256',
    title: 'model training, d 256, 6 layers, 64 × 48 tokens',
    work: modelStep(256, 6, 48),
    peers: TRANSFORMERS,
    goal: 0.6,
  },
];

const generation = (config: ModelConfig, name: string, rows: number, tokens: number): Case => ({
  name: `generate-${name}${rows}`,
  title: `greedy generation of ${tokens} tokens after ${tokens}, same size, batch ${rows}`,
  work: { kind: 'GENERATE', config, rows, tokens, newTokens: tokens },
  peers: [{ by: 'PYTHON', variant: 'transformers, generate()' }],
  goal: 0.8,
  tolerance: 0,
});

/** An SAE of SmolLM2's size. */
const READ = { layer: 21, nFree: 1024, nConcepts: 6 };

/** In the order of the table. */
export const CASES: readonly Case[] = [
  ...stepCases.map((each) => ({ ...each, tolerance: LOSS_TOLERANCE })),
  {
    name: 'capture',
    title: 'activation capture, GPT-2 small (12 layers, d 768), 8 × 64 tokens',
    work: { kind: 'CAPTURE', config: GPT2_SMALL, rows: 8, tokens: 64, layer: 11 },
    peers: [{ by: 'PYTHON', variant: 'transformers, hook on the last block' }],
    goal: 0.9,
    tolerance: 1e-3,
  },
  generation(GPT2_SMALL, '', 1, 32),
  generation(GPT2_SMALL, '', 16, 32),
  {
    name: 'capture-smollm2',
    title: 'activation capture, SmolLM2-135M (30 layers, d 576), after block 21, 64 × 32 tokens',
    work: { kind: 'CAPTURE', config: SMOLLM2, rows: 64, tokens: 32, layer: 21 },
    peers: [{ by: 'PYTHON', variant: 'transformers, hook on the block, stopped there' }],
    goal: 0.8,
    tolerance: 1e-3,
  },
  generation(SMOLLM2, 'smollm2-', 1, 64),
  generation(SMOLLM2, 'smollm2-', 16, 64),
  {
    name: 'steer-smollm2',
    title: 'a slot set at 8 strengths and the baseline beside them, 16 tokens after 32, same size',
    work: { kind: 'STEER', config: SMOLLM2, rows: 8, tokens: 32, newTokens: 16, ...READ },
    peers: [{ by: 'PYTHON', variant: 'transformers, generate() of batch 8, no edit' }],
    goal: 2,
    tolerance: 0,
  },
  {
    name: 'activations-smollm2',
    title: 'the strongest of 1,030 latents at every token of a text of 256, same size',
    work: { kind: 'ACTIVATIONS', config: SMOLLM2, rows: 1, tokens: 256, ...READ },
    peers: [{ by: 'OURS', variant: "the model alone, up to the SAE's block" }],
    goal: 1.2,
    tolerance: 1e-5,
  },
  {
    name: 'activations-http',
    title: 'the same over HTTP, of SmolLM2 itself, warm, five latents a token told',
    work: { kind: 'SERVED', what: 'ACTIVATIONS', layer: 21, nFree: 1030, tokens: 256, newTokens: 0 },
    peers: [{ by: 'OURS', variant: "the model alone, up to the SAE's block" }],
    goal: 1.2,
    tolerance: 1e-3,
  },
  {
    name: 'steer-http',
    title:
      'a latent set at 8 strengths and the baseline, 16 tokens after 32, over HTTP, SmolLM2 itself, warm',
    work: { kind: 'SERVED', what: 'STEER', layer: 21, nFree: 1030, tokens: 32, newTokens: 16 },
    peers: [{ by: 'OURS', variant: 'the same in the engine alone' }],
    goal: 1.2,
    tolerance: 1e-3,
  },
  {
    name: 'model-smollm2',
    title: 'model training, same size, 4 × 128 tokens',
    work: modelStepOf(SMOLLM2, 4, 128),
    peers: TRANSFORMERS,
    goal: 0.8,
    tolerance: LOSS_TOLERANCE,
  },
  {
    name: 'questions-smollm2',
    title: 'fine-tuning, same size, 32 questions of 8 – 13 tokens, answers of 2 – 11',
    work: modelStepOf(SMOLLM2, 32, 24, true),
    peers: TRANSFORMERS,
    goal: null,
    tolerance: LOSS_TOLERANCE,
  },
  {
    name: 'sweep',
    title: 'swap sweep, an edit of 6 × 5 pairs × 10 alphas × 100 prompts',
    work: { kind: 'SWEEP', promptsPerPair: 100, alphas: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 10] },
    peers: [{ by: 'OURS', variant: 'one at a time' }],
    goal: 0.2,
    tolerance: 0,
  },
];

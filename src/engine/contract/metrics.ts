/** What the metrics of runs are: how to name them for people, in which unit they count, and which way is better. */
import type { RunKind } from './runs.ts';

export interface Metric {
  /** As it is logged, such as `loss/bindMse`. */
  name: string;
  /** For people, such as `binding (mean squared error)`. */
  label: string;
  /** Null where it is a bare number. */
  unit: string | null;
  better: 'LOWER' | 'HIGHER' | null;
  /** Metrics of one group are drawn together. */
  group: string;
}

type Described = Omit<Metric, 'name'>;

const loss = (label: string, unit: string | null = null): Described => ({
  label,
  unit,
  better: 'LOWER',
  group: 'loss',
});
const share = (label: string, group: string): Described => ({
  label,
  unit: 'share',
  better: 'HIGHER',
  group,
});
const training = (label: string): Described => ({ label, unit: null, better: null, group: 'training' });

const KNOWN: Readonly<Record<string, Described>> = {
  loss: loss('training loss'),
  'loss/value': loss('value heads', 'nats'),
  'loss/recon': loss('reconstruction'),
  'loss/aux': loss('revival of dead latents'),
  'loss/sparse': loss('sparsity'),
  'loss/indep': loss('independence of free latents'),
  'loss/ortho': loss('slots against free latents'),
  'loss/bindMse': loss('binding, mean squared error'),
  'loss/bindCrossEntropy': loss('binding, cross-entropy', 'nats'),
  'loss/counterfactual': loss('counterfactual reconstruction'),
  'loss/silence': loss('silence of slots'),
  learningRate: training('learning rate'),
  gradNorm: training('norm of the gradient'),
  'accuracy/train': share('answers right, TRAIN', 'accuracy'),
  'accuracy/test_template': share('answers right, TEST_TEMPLATE', 'accuracy'),
  'accuracy/test_ood': share('answers right, TEST_OOD', 'accuracy'),
  'validation/loss': { label: 'loss', unit: null, better: 'LOWER', group: 'validation' },
  'validation/binding': share('prompts bound', 'binding'),
  'validation/value': share('values named by the value heads', 'validation'),
  fvu: { label: 'variance unexplained', unit: 'share', better: 'LOWER', group: 'reconstruction' },
  l0: { label: 'active free latents', unit: 'latents', better: null, group: 'sparsity' },
  dead: { label: 'dead free latents', unit: 'share', better: 'LOWER', group: 'dead latents' },
  unfired: { label: 'free latents long silent', unit: 'share', better: 'LOWER', group: 'dead latents' },
};

/** Before the key of a concept: a metric of it alone. */
const OF_CONCEPT = 'validation/binding/';

/** What is known of a metric; one that nobody described is called by its name and grouped by what stands before `/`. */
export function describeMetric(name: string): Metric {
  const known = KNOWN[name];
  if (known) return { name, ...known };
  if (isOfConcept(name)) return { name, ...share(name.slice(OF_CONCEPT.length), 'binding by concept') };
  const group = name.includes('/') ? name.slice(0, name.indexOf('/')) : 'other';
  return { name, label: name, unit: null, better: null, group };
}

/** Whether there is one of it for each concept, of which there may be thousands. */
export function isOfConcept(name: string): boolean {
  return name.startsWith(OF_CONCEPT);
}

/** What a run of each kind is followed by; null where it logs no metrics. */
export const MAIN_METRICS: Readonly<Record<RunKind, string | null>> = {
  MODEL: 'loss',
  ALIGNMENT: 'loss',
  BASELINE: 'loss',
  SWAP_SWEEP: null,
  ALIGNMENT_SWEEP: null,
  GROKKING: null,
  CHECKPOINT_ANALYSIS: null,
  HOP_SWAP: null,
  SAE_EVALUATION: null,
  KNOWLEDGE: null,
};

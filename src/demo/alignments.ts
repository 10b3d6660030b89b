/** What the demos have in common: datasets, alignments and single swaps, done through the API and shown. */
import { type ApiClient, success } from './client.ts';
import { ALIGNMENT_RUN, ENGINE, EXAMPLES, START_ALIGNMENT_RUN, SWAP_CONCEPT } from './operations.ts';
import { type Dataset, type Ended, finished, type SwapReply } from './replies.ts';
import { line, percent, table } from './terminal.ts';
import { runAndWatch } from './watch.ts';

export interface SwapMeasure {
  control: string;
  population: string;
  split: string;
  alpha: number;
  trials: number;
  successes: number;
  /** Null without trials. */
  successRate: number | null;
  leftOut: number;
  chosen: boolean;
}

export interface Alignment extends Ended {
  id: string;
  /** Null where there was no swap to try. */
  chosenAlpha: number | null;
  binding: { accuracy: number; diagonalAccuracy: number; concepts: { key: string }[]; matrix: number[][] };
  reconstruction: { fvu: number; l0: number };
  swaps: SwapMeasure[];
}

type Swap = SwapReply['intervention'];

/** Says what computes, and returns whether it is the native engine. */
export async function showEngine(api: ApiClient): Promise<boolean> {
  interface Engine {
    backend: string;
    tensorflowVersion: string | null;
    fallbackReason: string | null;
    devices: { name: string }[];
  }
  const { engine } = await api.request<{ engine: Engine }>(ENGINE);
  const isNative = engine.backend !== 'WASM';
  line(
    isNative
      ? `  TensorFlow ${engine.tensorflowVersion} on ${engine.devices.map((d) => d.name).join(', ')}`
      : `  wasm, since the native engine is not available: ${engine.fallbackReason}`,
  );
  return isNative;
}

/** Runs an alignment, showing it live. @throws Error when it did not succeed. */
export async function align(api: ApiClient, label: string, input: object): Promise<Alignment> {
  const id = await runAndWatch(api, label, START_ALIGNMENT_RUN, { ...input });
  return finished((await api.request<{ run: Alignment }>(ALIGNMENT_RUN, { id })).run);
}

export function showDataset(dataset: Dataset): void {
  line(`  ontology ${dataset.ontology.slug}: ${dataset.ontology.concepts.map((c) => c.label).join(', ')}`);
  line(`  dataset ${dataset.name}: ${dataset.splits.map((s) => `${s.name} ${s.size}`).join(', ')}`);
  for (const { node } of dataset.examples.edges) line(`  "${node.prompt}" → "${node.answer}"`);
}

export function showBinding({ binding, reconstruction }: Alignment): void {
  line('  Binding on held-out phrasings: of each concept’s prompts, the share whose strongest slot is …');
  table([
    ['concept', ...binding.concepts.map((c) => c.key)],
    ...binding.matrix.map((row, i) => [binding.concepts[i]!.key, ...row.map((share) => share.toFixed(2))]),
  ]);
  line(
    `  binding ${percent(binding.accuracy)}, diagonal ${percent(binding.diagonalAccuracy)}, FVU ${reconstruction.fvu.toFixed(3)}`,
  );
}

/** Ids of the first held-out prompts about a concept. */
export async function readExamples(
  api: ApiClient,
  datasetId: string,
  conceptId: string,
  first: number,
): Promise<string[]> {
  interface Page {
    node: { examples: { edges: { node: { id: string } }[] } };
  }
  const page = await api.request<Page>(EXAMPLES, { id: datasetId, conceptId, first });
  return page.node.examples.edges.map(({ node }) => node.id);
}

export async function swapConcept(api: ApiClient, input: object): Promise<Swap> {
  const reply = await api.request<{ swapConcept: SwapReply }>(SWAP_CONCEPT, { input });
  return success(reply.swapConcept).intervention;
}

/** Answers are shown up to what ends them: a model that nobody fine-tuned goes on behind it. */
export function showSwap(swap: Swap, answerEnd: string | null): void {
  const answer = ({ text }: { text: string }) => (answerEnd ? text.split(answerEnd)[0]! : text).trim();
  line(`  Swap ${swap.sourceConcept.label} → ${swap.targetConcept.label} at alpha ${swap.alpha}:`);
  line(`    prompt    ${swap.prompt}`);
  line(`    before    ${answer(swap.baseline)}`);
  line(`    after     ${answer(swap.result)}`);
  line(`    expected  ${swap.expectedAnswer}${swap.success ? '  ✓' : '  ✗'}`);
}

/** At the chosen alpha, of entities that the SAE never saw; undefined where there was no swap to try. */
export function findSwaps({ swaps }: Alignment, control: string, split: string): SwapMeasure | undefined {
  return swaps.find(
    (one) =>
      one.control === control &&
      one.population === 'UNSEEN' &&
      one.split === split &&
      one.chosen &&
      one.trials > 0,
  );
}

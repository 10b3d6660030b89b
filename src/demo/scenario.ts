/** The main job, step by step: data, language model, two alignments, a concept swap with each, a closing table. */
import { type ApiClient, success } from './client.ts';
import {
  ALIGNMENT_RUN,
  ENGINE,
  EXAMPLES,
  GENERATE_DATASET,
  MODEL_RUN,
  START_ALIGNMENT_RUN,
  START_MODEL_RUN,
  SWAP_CONCEPT,
} from './operations.ts';
import { type Concept, type Ended, finished, type SwapReply } from './replies.ts';
import { heading, line, percent, table } from './terminal.ts';
import { runAndWatch } from './watch.ts';

export interface DemoSettings {
  seed: number;
  people: number;
  /** Training steps of the language model; null takes the default of the backend. */
  steps: number | null;
}

interface Dataset {
  id: string;
  name: string;
  ontology: { slug: string; version: number; concepts: Concept[] };
  splits: { name: string; size: number }[];
  examples: { edges: { node: { prompt: string; answer: string } }[] };
}

interface SwapMeasure {
  control: string;
  population: string;
  split: string;
  alpha: number;
  trials: number;
  successes: number;
  successRate: number;
  chosen: boolean;
}

interface Alignment extends Ended {
  chosenAlpha: number;
  binding: { accuracy: number; diagonalAccuracy: number; concepts: { key: string }[]; matrix: number[][] };
  reconstruction: { fvu: number; l0: number };
  swaps: SwapMeasure[];
}

const PRESETS = ['PAPER', 'COUNTERFACTUAL'] as const;
/** The wasm backend takes several times as long a step; this many still learn the facts. */
const WASM_STEPS = 500;

/** The ids of the alignments that it made. @throws Error when a step failed. */
export async function runDemo(api: ApiClient, settings: DemoSettings): Promise<string[]> {
  const steps = settings.steps ?? (await showEngine(api));
  const dataset = await generate(api, settings);
  const modelId = await trainModel(api, dataset, settings.seed, steps);
  const alignments: Alignment[] = [];
  const runs: string[] = [];
  for (const preset of PRESETS) {
    heading(`Alignment, preset ${preset}`);
    const input = { modelId, settings: { preset, seed: settings.seed } };
    const runId = await runAndWatch(api, preset, START_ALIGNMENT_RUN, input);
    const alignment = finished((await api.request<{ run: Alignment }>(ALIGNMENT_RUN, { id: runId })).run);
    showBinding(alignment);
    await showSwap(api, dataset, runId);
    alignments.push(alignment);
    runs.push(runId);
  }
  heading('People the SAE never saw');
  showResults(alignments);
  return runs;
}

/** Says what computes; returns the training steps that fit it, null for the default. */
async function showEngine(api: ApiClient): Promise<number | null> {
  interface Engine {
    backend: string;
    tensorflowVersion: string | null;
    fallbackReason: string | null;
    devices: { name: string }[];
  }
  const { engine } = await api.request<{ engine: Engine }>(ENGINE);
  if (engine.backend !== 'WASM') {
    line(`  TensorFlow ${engine.tensorflowVersion} on ${engine.devices.map((d) => d.name).join(', ')}`);
    return null;
  }
  line(`  wasm, since the native engine is not available: ${engine.fallbackReason}`);
  line(
    `  It is several times slower, so the language model trains ${WASM_STEPS} steps instead of the default.`,
  );
  return WASM_STEPS;
}

async function generate(api: ApiClient, { seed, people }: DemoSettings): Promise<Dataset> {
  heading('Ontology and dataset');
  const input = { people, seed };
  const reply = await api.request<{
    generateDataset: { __typename: 'GenerateDatasetSuccess'; dataset: Dataset };
  }>(GENERATE_DATASET, { input });
  const { dataset } = success(reply.generateDataset);
  line(`  ontology ${dataset.ontology.slug}: ${dataset.ontology.concepts.map((c) => c.label).join(', ')}`);
  line(`  dataset ${dataset.name}: ${dataset.splits.map((s) => `${s.name} ${s.size}`).join(', ')}`);
  for (const { node } of dataset.examples.edges) line(`  "${node.prompt}" → "${node.answer}"`);
  return dataset;
}

async function trainModel(
  api: ApiClient,
  dataset: Dataset,
  seed: number,
  steps: number | null,
): Promise<string> {
  heading('Language model');
  interface ModelRun extends Ended {
    model: { id: string; nParams: number; train: number; validation: number; testOod: number };
  }
  const input = { datasetId: dataset.id, settings: { seed, ...(steps === null ? {} : { steps }) } };
  const runId = await runAndWatch(api, 'GPT-2', START_MODEL_RUN, input);
  const { model } = finished((await api.request<{ run: ModelRun }>(MODEL_RUN, { id: runId })).run);
  line(`  ${model.nParams.toLocaleString('en')} parameters; whole answers right:`);
  const { train, validation, testOod } = model;
  line(`  TRAIN ${percent(train)}, VALIDATION ${percent(validation)}, TEST_OOD ${percent(testOod)}`);
  return model.id;
}

function showBinding({ binding, reconstruction }: Alignment): void {
  line('  Binding on held-out phrasings: of each concept’s prompts, the share whose strongest slot is …');
  table([
    ['concept', ...binding.concepts.map((c) => c.key)],
    ...binding.matrix.map((row, i) => [binding.concepts[i]!.key, ...row.map((share) => share.toFixed(2))]),
  ]);
  line(
    `  binding ${percent(binding.accuracy)}, diagonal ${percent(binding.diagonalAccuracy)}, FVU ${reconstruction.fvu.toFixed(3)}`,
  );
}

/** Asks for a person's birth city with the university's slot on instead. */
async function showSwap(api: ApiClient, dataset: Dataset, runId: string): Promise<void> {
  const [source, target] = ['birth_city', 'university'].map(
    (key) => dataset.ontology.concepts.find((c) => c.key === key)!,
  );
  interface Page {
    node: { examples: { edges: { node: { id: string } }[] } };
  }
  const page = await api.request<Page>(EXAMPLES, { id: dataset.id, conceptId: source!.id });
  const exampleId = page.node.examples.edges[0]!.node.id;
  const input = { runId, exampleId, sourceConcept: source!.key, targetConcept: target!.key };
  const reply = await api.request<{ swapConcept: SwapReply }>(SWAP_CONCEPT, { input });
  const swap = success(reply.swapConcept).intervention;
  line(`  Swap ${swap.sourceConcept.label} → ${swap.targetConcept.label} at alpha ${swap.alpha}:`);
  line(`    prompt    ${swap.prompt}`);
  line(`    before    ${swap.baseline.text.trim()}`);
  line(`    after     ${swap.result.text.trim()}`);
  line(`    expected  ${swap.expectedAnswer}${swap.success ? '  ✓' : '  ✗'}`);
}

function showResults(alignments: Alignment[]): void {
  const find = (a: Alignment, control: string, split: string) =>
    a.swaps.find((s) => s.control === control && s.population === 'UNSEEN' && s.split === split && s.chosen);
  const rate = (m: SwapMeasure | undefined) => (m ? percent(m.successRate) : '–');
  const rows = alignments.map((a, i) => [
    PRESETS[i]!,
    a.chosenAlpha,
    percent(a.binding.accuracy),
    rate(find(a, 'CONCEPT', 'TRAIN')),
    rate(find(a, 'CONCEPT', 'TEST_OOD')),
  ]);
  const control = alignments.at(-1)!;
  const random = (split: string) => rate(find(control, 'RANDOM_LATENT', split));
  table([
    ['slots', 'alpha', 'binding', 'swap, known phrasing', 'swap, held-out phrasing'],
    ...rows,
    ['random latent', control.chosenAlpha, '–', random('TRAIN'), random('TEST_OOD')],
  ]);
}

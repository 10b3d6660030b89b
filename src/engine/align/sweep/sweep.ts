/** The swap-sweep job: methods × alphas × pairs × prompts, beside the controls, cell by cell. */

import { sameAnswer } from '../../../data/answers.ts';
import { invalidInput } from '../../../errors.ts';
import type { JobContext } from '../../contract/protocol.ts';
import type { SwapMethod } from '../../contract/swap.ts';
import type { SwapSweepJob, SwapSweepResult, SweepCell } from '../../contract/swapSweep.ts';
import { continueBranches, type Prefixes, runPrefixes } from '../../model/continue.ts';
import { replacing } from '../../model/edit.ts';
import { type LanguageModel, loadLanguageModel } from '../../model/languageModel.ts';
import { takeRows } from '../../rows.ts';
import { loadSae, type Sae } from '../../sae/sae.ts';
import { armedHook } from '../armed.ts';
import { captureResidPost } from '../capture.ts';
import { longestAnswer } from '../swapTrials.ts';
import { createWithheld } from '../withheld.ts';
import { prepareControls } from './controls.ts';
import { type SweepEditor, slotLatents } from './editors.ts';
import { armedEdits, continueAll, type Isolation, prepareIsolation } from './isolation.ts';
import { createPlacedEdits, type PlacedTrials } from './placed.ts';
import { choosePrompts, drawIsolationCases, drawSweepTrials, type SweepTrial } from './trials.ts';

/** Swaps that go through the model together. */
const BATCH = 512;

/**
 * Hands over one part a cell, leaving out those of `job.done`; equal settings give equal cells in any attempt.
 * @throws {AppError} INVALID_INPUT when the dataset allows no swap of these pairs.
 */
export async function runSwapSweep(job: SwapSweepJob, context: JobContext): Promise<SwapSweepResult> {
  const { reporter } = context;
  reporter.progress({ phase: 'CAPTURE', progress: 0, etaSeconds: null });
  const model = await loadLanguageModel(job.model);
  const sae = await loadSae(job.sae);
  try {
    const lab = await prepare(job, model, sae, context);
    try {
      return await measureCells(job, lab, context);
    } finally {
      lab.dispose();
    }
  } finally {
    sae.dispose();
    model.dispose();
  }
}

/** Everything that the cells share. */
interface Lab {
  model: LanguageModel;
  layer: number;
  editors: readonly SweepEditor[];
  trials: readonly SweepTrial[];
  placed: PlacedTrials;
  /** Each trial's prompt in `prefixes`, and the most tokens that its answer may have. */
  branches: readonly { prompt: number; limit: number }[];
  prefixes: Prefixes;
  isolation: Isolation;
  dispose(): void;
}

async function prepare(job: SwapSweepJob, model: LanguageModel, sae: Sae, context: JobContext): Promise<Lab> {
  const { settings, dataset, pairs } = job;
  const { layer } = sae.settings;
  const breathe = () => context.reporter.breathe();
  const asked = choosePrompts(dataset, sae.settings, settings);
  const counts = settings.withheldOnly ? createWithheld(dataset, sae.settings) : undefined;
  const trials = drawSweepTrials(asked, dataset, pairs, settings, counts);
  if (trials.length === 0) {
    throw invalidInput(
      ['settings', 'population'],
      `there is no ${settings.withheldOnly ? 'withheld swap among the' : 'swap in the'} ${settings.split} prompts of ${settings.population} entities about these concepts`,
    );
  }
  const texts = [...new Set(trials.map(({ prompt }) => prompt.prompt))];
  const tokens = texts.map((text) => model.tokenizer.encode(text));
  const place = new Map(texts.map((text, i) => [text, i]));
  const captured = await captureResidPost(model, tokens, { layer, breathe });
  const { dModel } = model.config;
  const placeOf = ({ prompt }: SweepTrial) => place.get(prompt.prompt)!;
  const h = takeRows(captured, trials.map(placeOf), dModel);
  const cases = drawIsolationCases(asked, dataset, pairs, settings);
  const isolation = await prepareIsolation(model, layer, cases, breathe);
  const controls = await prepareControls(job, model, sae, context);
  const concept = { edited: 'CONCEPT', sae, latents: slotLatents(sae, pairs) } as const;
  const bySlots = settings.methods.filter((method) => method !== 'MEAN_DIFFERENCE');
  const prefixes = runPrefixes(model, tokens);
  return {
    ...{ model, layer, trials, isolation, prefixes },
    editors: [{ ...concept, methods: bySlots }, ...controls.editors],
    placed: { h, pairs: Int32Array.from(trials, ({ pair }) => pair) },
    branches: trials.map((trial) => ({
      prompt: placeOf(trial),
      limit: longestAnswer(model, [trial]) + 1, // one more shows whether the answer ends there
    })),
    dispose() {
      prefixes.dispose();
      controls.dispose();
    },
  };
}

async function measureCells(
  { settings, pairs, done }: SwapSweepJob,
  lab: Lab,
  { reporter }: JobContext,
): Promise<SwapSweepResult> {
  const plan = lab.editors.flatMap((editor) =>
    editor.methods.flatMap((method) => settings.alphas.map((alpha) => ({ editor, method, alpha }))),
  );
  const started = performance.now();
  let edits = 0;
  const placedOf = new Map<SweepEditor, ReturnType<typeof createPlacedEdits>>();
  for (const [position, { editor, method, alpha }] of plan.entries()) {
    const share = position / plan.length;
    const elapsed = (performance.now() - started) / 1000;
    const etaSeconds =
      position > done.length ? (elapsed / (position - done.length)) * (plan.length - position) : null;
    reporter.progress({ phase: 'SWEEP', progress: share, etaSeconds });
    if (done.includes(position)) continue;
    const placed = placedOf.get(editor) ?? createPlacedEdits(editor, lab.placed);
    placedOf.set(editor, placed);
    const answers =
      settings.placement === 'ARMED'
        ? await answerArmed(lab, editor, method, alpha, () => reporter.breathe())
        : await answerPlaced(lab, placed(method, alpha), () => reporter.breathe());
    edits += answers.length;
    const isolation = await lab.isolation.measure(editor, method, alpha);
    const counts = countPairs(lab, pairs, answers);
    const sum = (key: 'trials' | 'successes') => counts.reduce((total, pair) => total + pair[key], 0);
    reporter.part({
      ...{ position, edited: editor.edited, method, alpha },
      ...{ trials: sum('trials'), successes: sum('successes') },
      ...{ ...isolation, pairs: counts },
    });
    await reporter.breathe();
  }
  reporter.progress({ phase: 'SWEEP', progress: 1, etaSeconds: 0 });
  edits += lab.isolation.runs();
  return { kind: 'SWAP_SWEEP', edits, seconds: (performance.now() - started) / 1000 };
}

/** The model's answer to each trial with the activation at its last token replaced; `resid [trials, dModel]`. */
async function answerPlaced(
  { model, layer, branches, prefixes }: Lab,
  resid: Float32Array,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const { dModel } = model.config;
  const answers: string[] = [];
  for (let start = 0; start < branches.length; start += BATCH) {
    const values = resid.subarray(start * dModel, (start + BATCH) * dModel);
    const batch = branches.slice(start, start + BATCH);
    const editLastToken = (open: readonly number[], step: number) =>
      step === 0
        ? replacing(
            { layer, values: takeRows(values, open, dModel) },
            open.map(() => [0]),
            0,
          )
        : undefined;
    const made = await continueBranches(model, prefixes, batch, editLastToken, breathe);
    answers.push(...made.map((tokens) => model.tokenizer.decode(tokens).trim()));
  }
  return answers;
}

async function answerArmed(
  { model, layer, branches, prefixes, placed }: Lab,
  editor: SweepEditor,
  method: SwapMethod,
  alpha: number,
  breathe: () => Promise<void>,
): Promise<string[]> {
  const edits = armedEdits(editor, [...placed.pairs], method, alpha);
  const made = await continueAll(
    model,
    branches.map(({ prompt }) => prefixes.prompts[prompt]!),
    (rows) =>
      armedHook(
        editor.sae,
        layer,
        rows.map((row) => edits[row]!),
        method,
      ),
    breathe,
    (row) => branches[row]!.limit,
  );
  return made.map((tokens) => model.tokenizer.decode(tokens).trim());
}

function countPairs(
  { trials }: Lab,
  pairs: SwapSweepJob['pairs'],
  answers: readonly string[],
): SweepCell['pairs'] {
  const counts = pairs.map((pair) => ({ ...pair, trials: 0, successes: 0 }));
  trials.forEach(({ pair, expected }, i) => {
    counts[pair]!.trials++;
    if (expected.some((value) => sameAnswer(answers[i]!, value))) counts[pair]!.successes++;
  });
  return counts;
}

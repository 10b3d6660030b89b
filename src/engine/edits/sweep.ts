/** The swap-sweep job: methods × alphas × pairs × prompts, beside the controls, cell by cell. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import { captureResidPost } from '../align/capture.ts';
import { capturePrompts } from '../align/captured.ts';
import { splitPopulations } from '../align/population.ts';
import { createWithheld } from '../align/withheld.ts';
import type { JobContext } from '../contract/protocol.ts';
import { laterAlpha } from '../contract/swap.ts';
import type { SwapSweepJob, SwapSweepResult, SweepCell } from '../contract/swapSweep.ts';
import { type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { loadSae, type Sae } from '../sae/sae.ts';
import { ANSWER, type AskedTrials, askTrials, type CellEdits, isExpected, type Trial } from './answers.ts';
import { type Editors, freeScales, prepareEditors, trainUnsupervised } from './controls.ts';
import { randomSwap } from './editors.ts';
import { type Isolation, prepareIsolation } from './isolation.ts';
import { choosePrompts, drawIsolationCases, drawSweepTrials, ISOLATION_KINDS } from './trials.ts';

/** Tokens by which continuations of texts are compared. */
const ISOLATION_TOKENS = 8;

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
      lab.asked.dispose();
      lab.editors.dispose();
    }
  } finally {
    sae.dispose();
    model.dispose();
  }
}

/** Everything that the cells share. */
interface Lab {
  editors: Editors;
  asked: AskedTrials;
  isolation: Isolation<(typeof ISOLATION_KINDS)[number]>;
}

async function prepare(job: SwapSweepJob, model: LanguageModel, sae: Sae, context: JobContext): Promise<Lab> {
  const { settings, dataset, pairs } = job;
  const { layer } = sae.settings;
  const breathe = () => context.reporter.breathe();
  const trials = await captureTrials(job, model, sae, breathe);
  const cases = drawIsolationCases(choosePrompts(dataset, sae.settings, settings), dataset, pairs, settings);
  const isolation = await prepareIsolation(
    model,
    ISOLATION_KINDS,
    cases.map(({ text, ...rest }) => ({ ...rest, tokens: model.tokenizer.encode(text) })),
    { layer, maxNewTokens: ISOLATION_TOKENS, breathe },
  );
  const editors = await prepareSweepEditors(job, model, sae, context);
  return { editors, asked: askTrials(model, layer, trials), isolation };
}

async function captureTrials(
  { settings, dataset, pairs }: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  breathe: () => Promise<void>,
): Promise<Trial[]> {
  const prompts = choosePrompts(dataset, sae.settings, settings);
  const counts = settings.withheldOnly ? createWithheld(dataset, sae.settings) : undefined;
  const trials = drawSweepTrials(prompts, dataset, pairs, settings, counts);
  if (trials.length === 0) {
    throw invalidInput(
      ['settings', 'population'],
      `there is no ${settings.withheldOnly ? 'withheld swap among the' : 'swap in the'} ${settings.split} prompts of ${settings.population} entities about these concepts`,
    );
  }
  const texts = [...new Set(trials.map(({ prompt }) => prompt.prompt))];
  const tokens = texts.map((text) => model.tokenizer.encode(text));
  const h = await captureResidPost(model, tokens, { layer: sae.settings.layer, breathe });
  const { dModel } = model.config;
  const places = new Map(
    texts.map((text, i) => [text, { tokens: tokens[i]!, h: h.subarray(i * dModel, (i + 1) * dModel) }]),
  );
  return trials.map(({ prompt, pair, expected }) => ({ ...places.get(prompt.prompt)!, pair, expected }));
}

/** The slots and the controls asked for; the dataset's prompts run for those alone that need them. */
function prepareSweepEditors(
  { settings, pairs, dataset, baseline }: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  context: JobContext,
): Promise<Editors> {
  const populations = splitPopulations(dataset, sae.settings);
  let captured: ReturnType<typeof capturePrompts> | null = null;
  const capture = () => (captured ??= capturePrompts(model, populations, sae.settings, context));
  return prepareEditors(sae, {
    pairs,
    methods: settings.methods,
    controls: settings.controls,
    async unsupervised() {
      if (baseline) return { sae: await loadSae(baseline.sae), latents: baseline.latents };
      const given = { model, dataset, captured: await capture() };
      const why = 'no baseline run fits this alignment: the sweep trains an unsupervised SAE by itself';
      context.reporter.log('INFO', why);
      return trainUnsupervised(sae, given, context, () =>
        context.reporter.progress({ phase: 'BASELINE', progress: 0, etaSeconds: null }),
      );
    },
    async random() {
      const { SEEN } = await capture();
      const learned = SEEN.filter(({ split }) => split === 'TRAIN');
      const random = createRandom(settings.seed, 'sweep', 'random-latents');
      const scales = freeScales(sae, learned);
      return pairs.map((pair) => randomSwap(random, scales, pair));
    },
  });
}

async function measureCells(
  { settings, pairs, done }: SwapSweepJob,
  lab: Lab,
  { reporter }: JobContext,
): Promise<SwapSweepResult> {
  const plan = lab.editors.all.flatMap((editor) =>
    editor.methods.flatMap((method) =>
      settings.alphas.map((alpha): CellEdits => {
        const later = laterAlpha(settings.placement, alpha, settings.alphaLater);
        return { editor, method, alpha, alphaLater: later };
      }),
    ),
  );
  const started = performance.now();
  let edits = 0;
  for (const [position, cell] of plan.entries()) {
    const elapsed = (performance.now() - started) / 1000;
    const measured = position - done.length;
    const etaSeconds = measured > 0 ? (elapsed / measured) * (plan.length - position) : null;
    reporter.progress({ phase: 'SWEEP', progress: position / plan.length, etaSeconds });
    edits += lab.asked.trials.length;
    if (done.includes(position)) {
      lab.isolation.skip(cell.editor);
      continue;
    }
    const answers = await ANSWER[settings.placement](lab.asked, cell, () => reporter.breathe());
    reporter.part({ position, ...(await measureCell(lab, cell, countPairs(lab.asked, pairs, answers))) });
    await reporter.breathe();
  }
  reporter.progress({ phase: 'SWEEP', progress: 1, etaSeconds: 0 });
  edits += lab.isolation.runs();
  return { kind: 'SWAP_SWEEP', edits, seconds: (performance.now() - started) / 1000 };
}

async function measureCell(
  { isolation }: Lab,
  cell: CellEdits,
  pairs: SweepCell['pairs'],
): Promise<Omit<SweepCell, 'position'>> {
  const { PROMPT, TEXT, STATEMENT } = await isolation.measure(cell);
  return {
    edited: cell.editor.edited,
    method: cell.method,
    alpha: cell.alpha,
    trials: pairs.reduce((sum, { trials }) => sum + trials, 0),
    successes: pairs.reduce((sum, { successes }) => sum + successes, 0),
    otherPrompts: PROMPT.asked,
    otherPromptsKept: PROMPT.kept,
    texts: TEXT.asked,
    textsKept: TEXT.kept,
    statements: STATEMENT.asked,
    statementsKept: STATEMENT.kept,
    pairs,
  };
}

function countPairs(
  { trials }: AskedTrials,
  pairs: SwapSweepJob['pairs'],
  answers: readonly string[],
): SweepCell['pairs'] {
  const counts = pairs.map((pair) => ({ ...pair, trials: 0, successes: 0 }));
  trials.forEach(({ pair, expected }, i) => {
    counts[pair]!.trials++;
    if (isExpected(answers[i]!, expected)) counts[pair]!.successes++;
  });
  return counts;
}

/** The swap-sweep job: methods × alphas × pairs × prompts, beside the controls, cell by cell. */
import { captureResidPost } from '../align/capture.ts';
import { capturePrompts } from '../align/captured.ts';
import { splitPopulations } from '../align/population.ts';
import type { JobContext } from '../contract/protocol.ts';
import { laterAlpha, type SwapPlacement } from '../contract/swap.ts';
import type { DasTraining, SwapSweepJob, SwapSweepResult, SweepCell } from '../contract/swapSweep.ts';
import type { SweepSettings } from '../contract/swapSweepSettings.ts';
import { aloneOf, type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { promptedBy } from '../model/prompting.ts';
import { once } from '../once.ts';
import { loadSae, type Sae } from '../sae/sae.ts';
import { ANSWER, type AskedTrials, askTrials, type CellEdits, type Trial } from './answers.ts';
import { type Isolation, joinIsolations, prepareIsolation } from './isolation.ts';
import { REPLACED, REPLACEMENTS, type ReplacedTrials, type Replacement } from './replacements.ts';
import { prepareSweepEditors, type SweepEditors } from './sweepEditors.ts';
import { prepareReplaced } from './sweepReplaced.ts';
import { countSwaps, type DrawnSwaps, drawSwaps, type SweepSwap } from './sweepSwaps.ts';
import { createTrialKeeper, type TrialKeeper } from './sweepTrials.ts';
import { choosePrompts, drawIsolationCases, ISOLATION_KINDS } from './trials.ts';

/** Tokens by which continuations of texts are compared. */
const ISOLATION_TOKENS = 8;

/**
 * Hands over one part a cell, leaving out those of `job.done`; equal settings give equal cells in any attempt.
 * @throws {AppError} INVALID_INPUT when the dataset allows no swap of these pairs.
 */
export async function runSwapSweep(job: SwapSweepJob, context: JobContext): Promise<SwapSweepResult> {
  const { reporter } = context;
  reporter.progress({ phase: 'CAPTURE', progress: 0, etaSeconds: null });
  const loaded = await loadLanguageModel(job.model);
  const sae = await loadSae(job.sae);
  try {
    const model = promptedBy(loaded, job.dataset);
    const lab = await prepare(job, model, sae, context);
    try {
      return await measureCells(job, lab, context);
    } finally {
      lab.asked.dispose();
      lab.editors.dispose();
    }
  } finally {
    sae.dispose();
    loaded.dispose();
  }
}

/** Everything that the cells share. */
interface Lab {
  editors: SweepEditors;
  drawn: DrawnSwaps;
  asked: AskedTrials;
  replaced: ReplacedTrials;
  das: DasTraining | null;
  isolation: Isolation<(typeof ISOLATION_KINDS)[number]>;
  /** Null where swaps are not kept one by one. */
  keep: TrialKeeper | null;
}

async function prepare(job: SwapSweepJob, model: LanguageModel, sae: Sae, context: JobContext): Promise<Lab> {
  const { settings, dataset, pairs } = job;
  const { layer } = sae.settings;
  const breathe = () => context.reporter.breathe();
  const drawn = await drawSwaps(job, model, sae, context.reporter);
  const trials = await captureTrials(drawn.swaps, model, sae, breathe);
  const cases = drawIsolationCases(choosePrompts(dataset, sae.settings, settings), dataset, pairs, settings);
  const isolate = (reader: LanguageModel, own: typeof cases) =>
    prepareIsolation(
      reader,
      ISOLATION_KINDS,
      own.map(({ text, ...rest }) => ({ ...rest, tokens: reader.asking.prompt(text) })),
      { layer, maxNewTokens: ISOLATION_TOKENS, breathe },
    );
  const isPrompt = ({ kind }: (typeof cases)[number]) => kind === 'PROMPT';
  const isolation = model.prompting
    ? joinIsolations(
        await isolate(model, cases.filter(isPrompt)),
        await isolate(
          aloneOf(model),
          cases.filter((one) => !isPrompt(one)),
        ),
      )
    : await isolate(model, cases);
  const capture = once(() =>
    capturePrompts(model, splitPopulations(dataset, sae.settings), sae.settings, context),
  );
  const editors = await prepareSweepEditors(job, model, sae, { context, capture });
  const asked = askTrials(model, layer, trials);
  const of = { model, sae, asked, swaps: drawn.swaps };
  const { replaced, das } = await prepareReplaced(job, of, { context, capture });
  const keep = settings.keepTrials ? await createTrialKeeper(drawn, asked, breathe) : null;
  return { editors, drawn, asked, replaced, das, isolation, keep };
}

async function captureTrials(
  swaps: readonly SweepSwap[],
  model: LanguageModel,
  sae: Sae,
  breathe: () => Promise<void>,
): Promise<Trial[]> {
  const texts = [...new Set(swaps.map(({ prompt }) => prompt.prompt))];
  const tokens = texts.map((text) => model.asking.prompt(text));
  const h = await captureResidPost(model, tokens, { layer: sae.settings.layer, breathe });
  const { dModel } = model.config;
  const places = new Map(
    texts.map((text, i) => [text, { tokens: tokens[i]!, h: h.subarray(i * dModel, (i + 1) * dModel) }]),
  );
  return swaps.map(({ prompt, pair, expected }) => ({ ...places.get(prompt.prompt)!, pair, expected }));
}

/** A cell to measure: an edit, or a control that replaces activations. */
type Planned = CellEdits | Replacement;

/** What alpha changes comes first, in the order of editors. */
function planCells(
  { controls, alphas, placement, alphaLater }: SweepSettings,
  { all }: SweepEditors,
): Planned[] {
  const edits = all.flatMap((editor) =>
    editor.methods.flatMap((method) =>
      alphas.map((alpha): CellEdits => {
        return { editor, method, alpha, alphaLater: laterAlpha(placement, alpha, alphaLater) };
      }),
    ),
  );
  return [...edits, ...REPLACEMENTS.filter((control) => controls.includes(control))];
}

async function measureCells(
  { settings, done }: SwapSweepJob,
  lab: Lab,
  { reporter }: JobContext,
): Promise<SwapSweepResult> {
  const plan = planCells(settings, lab.editors);
  const started = performance.now();
  let edits = 0;
  for (const [position, cell] of plan.entries()) {
    const elapsed = (performance.now() - started) / 1000;
    const measured = position - done.length;
    const etaSeconds = measured > 0 ? (elapsed / measured) * (plan.length - position) : null;
    reporter.progress({ phase: 'SWEEP', progress: position / plan.length, etaSeconds });
    edits += lab.asked.trials.length;
    if (done.includes(position)) {
      if (typeof cell !== 'string') lab.isolation.skip(cell.editor);
      continue;
    }
    const measures = await measureCell(lab, cell, settings.placement, () => reporter.breathe());
    reporter.part({ position, ...measures });
    await reporter.breathe();
  }
  reporter.progress({ phase: 'SWEEP', progress: 1, etaSeconds: 0 });
  edits += lab.isolation.runs();
  const { das, editors } = lab;
  const seconds = (performance.now() - started) / 1000;
  return { kind: 'SWAP_SWEEP', edits, seconds, probe: editors.probe, das };
}

async function measureCell(
  { drawn, asked, replaced, isolation, keep }: Lab,
  cell: Planned,
  placement: SwapPlacement,
  breathe: () => Promise<void>,
): Promise<Omit<SweepCell, 'position'>> {
  const countsOf = (answers: readonly (string | null)[]) => ({
    ...countSwaps(drawn, answers),
    ...(keep && { kept: keep(answers) }),
  });
  if (typeof cell === 'string') {
    const answers = await REPLACED[cell](replaced, placement === 'ARMED' ? 'ANSWER' : placement, breathe);
    const method = cell === 'PROMPT' ? 'NONE' : 'REPLACEMENT';
    return { edited: cell, method, alpha: 1, ...countsOf(answers), ...NO_ISOLATION };
  }
  const counts = countsOf(await ANSWER[placement](asked, cell, breathe));
  const { PROMPT, TEXT, STATEMENT } = await isolation.measure(cell);
  return {
    edited: cell.editor.edited,
    method: cell.method,
    alpha: cell.alpha,
    ...counts,
    otherPrompts: PROMPT.asked,
    otherPromptsKept: PROMPT.kept,
    texts: TEXT.asked,
    textsKept: TEXT.kept,
    statements: STATEMENT.asked,
    statementsKept: STATEMENT.kept,
  };
}

/** Of what cannot be armed. */
const NO_ISOLATION = {
  otherPrompts: 0,
  otherPromptsKept: 0,
  texts: 0,
  textsKept: 0,
  statements: 0,
  statementsKept: 0,
};

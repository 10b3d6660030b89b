/** The swap-sweep job: methods × alphas × pairs × prompts, beside the controls, cell by cell. */
import { createRandom } from '../../random.ts';
import { captureResidPost } from '../align/capture.ts';
import { type CapturedPopulations, capturePrompts } from '../align/captured.ts';
import { findConceptLatents } from '../align/conceptLatents.ts';
import { splitPopulations } from '../align/population.ts';
import type { JobContext } from '../contract/protocol.ts';
import { laterAlpha, type SwapPlacement } from '../contract/swap.ts';
import type { SwapSweepJob, SwapSweepResult, SweepBaseline, SweepCell } from '../contract/swapSweep.ts';
import type { SweepSettings } from '../contract/swapSweepSettings.ts';
import { aloneOf, type LanguageModel, loadLanguageModel } from '../model/languageModel.ts';
import { promptedBy } from '../model/prompting.ts';
import { readSae } from '../sae/file.ts';
import { loadSae, Sae } from '../sae/sae.ts';
import { ANSWER, type AskedTrials, askTrials, type CellEdits, type Trial } from './answers.ts';
import {
  type Editors,
  freeScales,
  prepareEditors,
  trainUnsupervised,
  type Unsupervised,
} from './controls.ts';
import { randomSwap } from './editors.ts';
import { type Isolation, joinIsolations, prepareIsolation } from './isolation.ts';
import {
  REPLACED,
  REPLACEMENTS,
  type ReplacedTrial,
  type ReplacedTrials,
  type Replacement,
} from './replacements.ts';
import { sumsOf } from './sums.ts';
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
  editors: Editors;
  drawn: DrawnSwaps;
  asked: AskedTrials;
  replaced: ReplacedTrials;
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
  const replaced = {
    asked,
    trials: replacedTrials(drawn.swaps, job, model),
    sums: settings.controls.includes('SUM') ? sumsOf(await capture(), dataset.concepts.length) : null,
  };
  const keep = settings.keepTrials ? await createTrialKeeper(drawn, asked, breathe) : null;
  return { editors, drawn, asked, replaced, isolation, keep };
}

/** What replacements need to know of the trials. */
function replacedTrials(
  swaps: readonly SweepSwap[],
  { pairs }: SwapSweepJob,
  { asking }: LanguageModel,
): ReplacedTrial[] {
  return swaps.map(({ prompt, pair, targetPrompt }) => {
    const targetTokens = targetPrompt && asking.prompt(targetPrompt.prompt);
    return { ...pairs[pair]!, entity: prompt.entity, targetTokens };
  });
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

/** The slots and the controls asked for; the dataset's prompts run for those alone that need them. */
function prepareSweepEditors(
  { settings, pairs, dataset, baseline }: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  { context, capture }: { context: JobContext; capture: () => Promise<CapturedPopulations> },
): Promise<Editors> {
  return prepareEditors(sae, {
    pairs,
    methods: settings.methods,
    controls: settings.controls,
    async unsupervised() {
      if (baseline) return loadUnsupervised(baseline, dataset, capture, context);
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

/** A cell to measure: an edit, or a control that replaces activations. */
type Planned = CellEdits | Replacement;

/** What alpha changes comes first, in the order of editors. */
function planCells({ controls, alphas, placement, alphaLater }: SweepSettings, { all }: Editors): Planned[] {
  const edits = all.flatMap((editor) =>
    editor.methods.flatMap((method) =>
      alphas.map((alpha): CellEdits => {
        return { editor, method, alpha, alphaLater: laterAlpha(placement, alpha, alphaLater) };
      }),
    ),
  );
  return [...edits, ...REPLACEMENTS.filter((control) => controls.includes(control))];
}

/** The latents of one that nobody has measured on these prompts are found as those of a baseline are. */
async function loadUnsupervised(
  { sae: path, latents }: SweepBaseline,
  { concepts }: SwapSweepJob['dataset'],
  capture: () => ReturnType<typeof capturePrompts>,
  { reporter }: JobContext,
): Promise<Unsupervised> {
  const sae = new Sae({ ...(await readSae(path)), concepts: concepts.map(({ key }) => key) });
  return {
    sae,
    latents: latents ?? (await findConceptLatents(sae, await capture(), () => reporter.breathe())),
  };
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
  return { kind: 'SWAP_SWEEP', edits, seconds: (performance.now() - started) / 1000 };
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
    return { edited: cell, method: 'REPLACEMENT', alpha: 1, ...countsOf(answers), ...NO_ISOLATION };
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

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** The slots and what stands beside them: the same swaps with latents that nobody bound, and without any SAE. */
import type { CapturedPopulations } from '../align/captured.ts';
import { findConceptLatents } from '../align/conceptLatents.ts';
import { trainBaseline } from '../align/training.ts';
import { resolveBaselineSettings } from '../contract/baselineSettings.ts';
import type { EngineDataset } from '../contract/dataset.ts';
import type { JobContext } from '../contract/protocol.ts';
import { SWAP_METHODS, type SwapMethod } from '../contract/swap.ts';
import type { SweepBaseline } from '../contract/swapSweep.ts';
import { type SweepControl, usesUnsupervised } from '../contract/swapSweepSettings.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import { Sae } from '../sae/sae.ts';
import type { TrainingProgress } from '../sae/train.ts';
import {
  type ConceptPair,
  createAdder,
  createEditor,
  type Editor,
  groupSwap,
  latentSwap,
  type Scaled,
  slotSwap,
} from './editors.ts';
import { METHODS, type Swap } from './methods.ts';

export interface Editors {
  all: readonly Editor[];
  /** Frees what the controls loaded. */
  dispose(): void;
}

/** An unsupervised SAE on the backend, with the latents that stand for the concepts in it. */
export interface Unsupervised {
  sae: Sae;
  latents: NonNullable<SweepBaseline['latents']>;
}

export interface EditorOptions {
  pairs: readonly ConceptPair[];
  methods: readonly SwapMethod[];
  controls: readonly SweepControl[];
  /** The unsupervised SAE, which is freed with the editors, and random swaps by pair; called where they are asked for. */
  unsupervised(): Promise<Unsupervised>;
  /** By concept the latents of it that are edited together; called where they are asked for. */
  groups?(sae: Sae): Promise<Scaled[][]>;
  /** What a linear probe's direction is for each pair, `[dModel]`; called where it is asked for. */
  probe?(): Promise<Float32Array[]>;
  random(): Promise<Swap[]>;
}

/** The slots, then the controls asked for. A method that knows concepts alone is an editor of its own. */
export async function prepareEditors(
  sae: Sae,
  { pairs, methods: asked, controls, unsupervised, groups, probe, random }: EditorOptions,
): Promise<Editors> {
  const methods = asked.filter((method) => METHODS[method].by === 'LATENT');
  const slots = pairs.map((pair) => slotSwap(sae, pair));
  const all = [createEditor({ edited: 'CONCEPT', sae, methods, swaps: slots })];
  const isAsked = (control: SweepControl) => controls.includes(control);
  const baseline = usesUnsupervised(controls) ? await unsupervised() : null;
  if (baseline && isAsked('UNSUPERVISED_LATENT')) {
    const swaps = pairs.map((pair) => latentSwap(baseline.latents, pair));
    all.push(createEditor({ edited: 'UNSUPERVISED_LATENT', sae: baseline.sae, methods, swaps }));
  }
  if (isAsked('RANDOM_LATENT'))
    all.push(createEditor({ edited: 'RANDOM_LATENT', sae, methods, swaps: await random() }));
  const byConcept = SWAP_METHODS.filter(
    (method) =>
      METHODS[method].by === 'CONCEPT' &&
      (asked.includes(method) || controls.some((control) => control === method)),
  );
  if (byConcept.length > 0)
    all.push(createEditor({ edited: 'MEAN_DIFFERENCE', sae, methods: byConcept, swaps: slots }));
  if (baseline && groups && isAsked('UNSUPERVISED_LATENTS')) {
    const found = await groups(baseline.sae);
    const swaps = pairs.map((pair) => groupSwap(found, pair));
    all.push(createEditor({ edited: 'UNSUPERVISED_LATENTS', sae: baseline.sae, methods, swaps }));
  }
  if (probe && isAsked('LINEAR_PROBE'))
    all.push(createAdder({ edited: 'LINEAR_PROBE', sae, swaps: slots }, 'PROBE_DIRECTION', await probe()));
  return { all, dispose: () => baseline?.sae.dispose() };
}

/** A baseline of its own for swaps that have none: as large as the aligned SAE, on the same entities. */
export async function trainUnsupervised(
  { config, settings }: Pick<Sae, 'config' | 'settings'>,
  given: { model: LanguageModel; dataset: EngineDataset; captured: CapturedPopulations },
  context: JobContext,
  progress: TrainingProgress,
): Promise<Unsupervised> {
  const { seed, layer, unseenShare, validationShare } = settings;
  const nFree = config.nFree + config.nConcepts;
  const own = resolveBaselineSettings({ seed, layer, unseenShare, validationShare, nFree }, config.nConcepts);
  const sae = new Sae(await trainBaseline({ ...given, settings: own }, context, progress));
  return { sae, latents: await findConceptLatents(sae, given.captured, () => context.reporter.breathe()) };
}

/** Mean activation of each free latent over the rows on which it fires, `[nFree]`; 0 where it never does. */
export function freeScales(sae: Sae, rows: readonly { h: Float32Array }[]): Float32Array {
  const { nFree, dModel } = sae.config;
  const sums = new Float64Array(nFree);
  const counts = new Float64Array(nFree);
  for (let start = 0; start < rows.length; start += 256) {
    sae.latents(stackRows(rows.slice(start, start + 256), dModel)).forEach((value, i) => {
      const latent = i % sae.nLatents;
      if (latent >= nFree || value === 0) return;
      sums[latent]! += value;
      counts[latent]!++;
    });
  }
  return Float32Array.from(sums, (sum, latent) => (counts[latent] ? sum / counts[latent]! : 0));
}

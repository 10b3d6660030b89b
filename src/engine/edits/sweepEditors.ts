/** The hands of a sweep: the slots, and the controls that edit with a latent or a direction. */
import { createRandom } from '../../random.ts';
import { type CapturedPopulations, type CapturedPrompt, chooseBy } from '../align/captured.ts';
import { findConceptLatents, findLatentGroups } from '../align/conceptLatents.ts';
import type { JobContext } from '../contract/protocol.ts';
import type { ProbeReading, SwapSweepJob, SweepBaseline } from '../contract/swapSweep.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows } from '../rows.ts';
import { readSae } from '../sae/file.ts';
import { Sae } from '../sae/sae.ts';
import { strongest } from '../sae/validation.ts';
import {
  type Editors,
  freeScales,
  prepareEditors,
  trainUnsupervised,
  type Unsupervised,
} from './controls.ts';
import { dot } from './edit.ts';
import { type ConceptPair, randomSwap } from './editors.ts';
import { minus, unit } from './methods.ts';
import { fitProbe, type Probe, readWith } from './probe.ts';

/** Latents that UNSUPERVISED_LATENTS edits together. */
const GROUP_SIZE = 5;

export interface SweepEditors extends Editors {
  /** Null without the control. */
  probe: ProbeReading | null;
}

/** The slots and the controls asked for; the dataset's prompts run for those alone that need them. */
export async function prepareSweepEditors(
  { settings, pairs, dataset, baseline }: SwapSweepJob,
  model: LanguageModel,
  sae: Sae,
  { context, capture }: { context: JobContext; capture: () => Promise<CapturedPopulations> },
): Promise<SweepEditors> {
  const { reporter } = context;
  const breathe = () => reporter.breathe();
  let reading: ProbeReading | null = null;
  const editors = await prepareEditors(sae, {
    pairs,
    methods: settings.methods,
    controls: settings.controls,
    async unsupervised() {
      if (baseline) return loadUnsupervised(baseline, dataset, capture, context);
      const given = { model, dataset, captured: await capture() };
      const why = 'no baseline run fits this alignment: the sweep trains an unsupervised SAE by itself';
      reporter.log('INFO', why);
      return trainUnsupervised(sae, given, context, () =>
        reporter.progress({ phase: 'BASELINE', progress: 0, etaSeconds: null }),
      );
    },
    groups: async (unsupervised) => findLatentGroups(unsupervised, await capture(), GROUP_SIZE, breathe),
    async probe() {
      const captured = await capture();
      const { directions, fitted, ...chosen } = await probeSlots(sae, captured, pairs, breathe);
      reading = { ...chosen, ...readBoth(fitted, sae, asked(captured, settings)) };
      return directions;
    },
    async random() {
      const { SEEN } = await capture();
      const learned = SEEN.filter(({ split }) => split === 'TRAIN');
      const random = createRandom(settings.seed, 'sweep', 'random-latents');
      const scales = freeScales(sae, learned);
      return pairs.map((pair) => randomSwap(random, scales, pair));
    },
  });
  return { ...editors, probe: reading };
}

/** The latents of one that nobody has measured on these prompts are found as those of a baseline are. */
async function loadUnsupervised(
  { sae: path, latents }: SweepBaseline,
  { concepts }: SwapSweepJob['dataset'],
  capture: () => Promise<CapturedPopulations>,
  { reporter }: JobContext,
): Promise<Unsupervised> {
  const sae = new Sae({ ...(await readSae(path)), concepts: concepts.map(({ key }) => key) });
  return {
    sae,
    latents: latents ?? (await findConceptLatents(sae, await capture(), () => reporter.breathe())),
  };
}

/** The prompts that the sweep asks, whether or not it draws a swap from them. */
const asked = (captured: CapturedPopulations, { population, split }: SwapSweepJob['settings']) =>
  captured[population].filter((prompt) => prompt.split === split);

/** A probe on what the SAE learned from, and for each pair how far it moves an activation along its direction. */
async function probeSlots(
  { concepts, normalization, conceptMeans, config: { dModel } }: Sae,
  captured: CapturedPopulations,
  pairs: readonly ConceptPair[],
  breathe: () => Promise<void>,
): Promise<{ fitted: Probe; directions: Float32Array[] } & Pick<ProbeReading, 'penalty' | 'chosenBy'>> {
  const learned = captured.SEEN.filter(({ split }) => split === 'TRAIN');
  const choosing = chooseBy(captured, concepts.length) ?? learned;
  const { probe, chosenBy } = await fitProbe(learned, choosing, concepts.length, normalization, breathe);
  const mean = (concept: number) => conceptMeans.subarray(concept * dModel, (concept + 1) * dModel);
  const directions = pairs.map(({ source, target }) => {
    const w = unit(minus(probe.weights[target]!, probe.weights[source]!));
    const size = dot(minus(mean(target), mean(source)), w);
    return w.map((value) => size * value);
  });
  return { fitted: probe, directions, penalty: probe.penalty, chosenBy };
}

function readBoth(
  probe: Probe,
  sae: Sae,
  prompts: readonly CapturedPrompt[],
): Pick<ProbeReading, 'probe' | 'slots'> {
  const { nConcepts, dModel } = sae.config;
  const slots = sae.slots(stackRows(prompts, dModel));
  const bound = prompts.filter(({ concepts }, i) => strongest(slots, i, nConcepts) === concepts[0]);
  return {
    probe: readWith(probe, prompts, sae.normalization),
    slots: { trials: prompts.length, successes: bound.length },
  };
}

/** The SAE of a run as SAELens loads it, with what its latents mean in the metadata. */
import { asc, eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { hopSaesOfRuns } from '../db/queries/hopSaes.ts';
import { isOfKind } from '../db/queries/runOf.ts';
import type { Run } from '../db/queries/runs.ts';
import { concepts, datasets, models, ontologies } from '../db/tables/index.ts';
import { ALIGNMENT_PRESETS } from '../engine/contract/alignmentPresets.ts';
import type { AlignmentSettings } from '../engine/contract/alignmentSettings.ts';
import type { GrokSettings } from '../engine/contract/analysisSettings.ts';
import { AppError } from '../errors.ts';
import {
  findCounterpart,
  openSaeLens,
  type SaeLensArchitecture,
  type SaeLensFiles,
} from '../formats/sae/exportSaeLens.ts';

export type { SaeLensFiles } from '../formats/sae/exportSaeLens.ts';

type Settings = Pick<AlignmentSettings, 'activation' | 'layer'>;
/** Of two-hop runs: 1 or 2; null of runs that train one SAE. */
type Hop = number | null;

/** Where activations are read. */
const POSITIONS = [
  'the last token of a prompt',
  'the last token of a two-hop question, which predicts E2',
  'the last token of E2 behind a two-hop question, which predicts E3',
];

/** What SAELens has for the SAE of this run: an architecture, or the reason why there are no files. */
export function saeLensOf(run: Run, hop: Hop): SaeLensArchitecture | { reason: string } {
  const settings = settingsOf(run, hop);
  if (!settings)
    return { reason: `a run of kind ${run.kind} trains no SAE${hop === null ? '' : ` of hop ${hop}`}` };
  const { activation } = settings;
  const counterpart = findCounterpart({ activation, nConcepts: run.kind === 'BASELINE' ? 0 : 1 });
  if (typeof counterpart !== 'string' || run.status === 'SUCCEEDED') return counterpart;
  return { reason: `the run is ${run.status}; only one that has SUCCEEDED has an SAE` };
}

/** Of the SAE that the run trains for the hop; null where it trains none. */
function settingsOf(run: Run, hop: Hop): Settings | null {
  if (hop === null) return isOfKind(run, 'ALIGNMENT', 'BASELINE') ? run.settings : null;
  const analysis = analysisOf(run);
  return analysis && { activation: ALIGNMENT_PRESETS[analysis.preset].activation, layer: analysis.layer };
}

/** How a two-hop run trains its SAEs; null where it edits those of another, and of any other run. */
function analysisOf(run: Run): GrokSettings | null {
  if (isOfKind(run, 'CHECKPOINT_ANALYSIS')) return run.settings;
  return isOfKind(run, 'HOP_SWAP') && run.analysisRunId === null ? run.settings.analysis : null;
}

/**
 * Opens the two files of a run's SAE; `runId` is how the metadata names it.
 * @throws AppError CONFLICT with the reason why there are none; UNAVAILABLE when the weights are not in the store.
 */
export async function openRunForSaeLens(
  db: Executor,
  store: ArtifactStore,
  run: Run,
  { runId, hop }: { runId: string; hop: Hop },
): Promise<SaeLensFiles> {
  const counterpart = saeLensOf(run, hop);
  const hash = typeof counterpart === 'string' && (await hashOf(db, run, hop));
  const files = hash ? await openSaeLens(await store.path(hash, `the SAE of run ${run.id}`)) : null;
  if (!files) throw new AppError('CONFLICT', (counterpart as { reason: string }).reason ?? NOT_KEPT);
  Object.assign(files.cfg.metadata, await describeModel(db, run, settingsOf(run, hop)!), {
    alignsae: { run: runId, ...(await describeRun(db, run, hop, files)), weightsSha256: hash },
  });
  return files;
}

const NOT_KEPT = 'the run is of a version that did not keep an SAE for each hop';

async function hashOf(db: Executor, run: Run, hop: Hop): Promise<string | null> {
  if (hop === null) return run.artifactHash;
  const [saes] = await hopSaesOfRuns(db, [run.id]);
  return saes!.find((sae) => sae.hop === hop)?.artifactHash ?? null;
}

/** In the words of SAELens and TransformerLens. */
async function describeModel(db: Executor, run: Run, { layer }: Settings) {
  const [model] = await db.select().from(models).where(eq(models.id, run.modelId!));
  return describeHook(model!, layer);
}

/** Which activations are read. */
export function describeHook(
  { name, config }: Pick<typeof models.$inferSelect, 'name' | 'config'>,
  layer: number,
) {
  return {
    model_name: name,
    hook_name: layer < 0 ? 'blocks.0.hook_resid_pre' : `blocks.${layer}.hook_resid_post`,
    hook_head_index: null,
    context_size: config.nCtx || null,
    prepend_bos: false,
  };
}

async function describeRun(db: Executor, run: Run, hop: Hop, { description, negativeOf }: SaeLensFiles) {
  const [about] = await db
    .select({ dataset: datasets.name, ontology: ontologies, model: models.artifactHash })
    .from(datasets)
    .innerJoin(ontologies, eq(ontologies.id, datasets.ontologyId))
    .innerJoin(models, eq(models.id, run.modelId!))
    .where(eq(datasets.id, run.datasetId));
  const { slug, version, name } = about!.ontology;
  const known = await db
    .select()
    .from(concepts)
    .where(eq(concepts.ontologyId, about!.ontology.id))
    .orderBy(asc(concepts.position));
  const { nFree, nConcepts } = description.config;
  return {
    kind: run.kind,
    seed: run.seed,
    codeVersion: run.codeVersion,
    position: POSITIONS[hop ?? 0],
    ontology: { slug, version, name, concepts: known.map(({ key, label }) => ({ key, label })) },
    dataset: { name: about!.dataset, contentHash: run.datasetHash },
    modelSha256: about!.model,
    nFree,
    slots: known.slice(0, nConcepts).map(({ key, label }, i) => ({
      concept: key,
      label,
      latent: nFree + i,
      negativeLatent: negativeOf(nFree + i),
    })),
    settings: run.settings,
  };
}

/** The SAE of a run as SAELens loads it, with what its latents mean in the metadata. */
import { asc, eq } from 'drizzle-orm';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import { concepts, datasets, models, ontologies } from '../db/tables.ts';
import {
  findCounterpart,
  openSaeLens,
  type SaeLensArchitecture,
  type SaeLensFiles,
} from '../engine/sae/saeLens.ts';
import type { AlignmentSettings } from '../engine/sae/settings.ts';
import { AppError } from '../errors.ts';

type Settings = Pick<AlignmentSettings, 'activation' | 'layer'>;

/** What SAELens has for the SAE of this run: an architecture, or the reason why there are no files. */
export function saeLensOf(run: Run): SaeLensArchitecture | { reason: string } {
  if (run.kind !== 'ALIGNMENT' && run.kind !== 'BASELINE')
    return { reason: `a run of kind ${run.kind} trains no SAE` };
  const { activation } = run.settings as unknown as Settings;
  const counterpart = findCounterpart({ activation, nConcepts: run.kind === 'ALIGNMENT' ? 1 : 0 });
  if (typeof counterpart !== 'string' || run.status === 'SUCCEEDED') return counterpart;
  return { reason: `the run is ${run.status}; only one that has SUCCEEDED has an SAE` };
}

/**
 * Opens the two files of a run's SAE; `runId` is how the metadata names it.
 * @throws AppError CONFLICT with the reason why there are none; UNAVAILABLE when the weights are not in the store.
 */
export async function openRunForSaeLens(
  db: Executor,
  store: ArtifactStore,
  run: Run,
  runId: string,
): Promise<SaeLensFiles> {
  const counterpart = saeLensOf(run);
  const files =
    typeof counterpart === 'string' ? await openSaeLens(await store.path(run.artifactHash!)) : null;
  if (!files) throw new AppError('CONFLICT', (counterpart as { reason: string }).reason);
  Object.assign(files.cfg.metadata, await describeModel(db, run), {
    alignsae: { run: runId, ...(await describeRun(db, run, files)) },
  });
  return files;
}

/** In the words of SAELens and TransformerLens. */
async function describeModel(db: Executor, run: Run) {
  const [model] = await db.select().from(models).where(eq(models.id, run.modelId!));
  const { layer } = run.settings as unknown as Settings;
  return {
    model_name: model!.name,
    hook_name: layer < 0 ? 'blocks.0.hook_resid_pre' : `blocks.${layer}.hook_resid_post`,
    hook_head_index: null,
    context_size: model!.config.nCtx,
    prepend_bos: false,
  };
}

async function describeRun(db: Executor, run: Run, { description, negativeOf }: SaeLensFiles) {
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
    ...{ kind: run.kind, seed: run.seed, codeVersion: run.codeVersion, weightsSha256: run.artifactHash },
    position: 'the last token of a prompt',
    ontology: { slug, version, name, concepts: known.map(({ key, label }) => ({ key, label })) },
    dataset: { name: about!.dataset, contentHash: run.datasetHash },
    modelSha256: about!.model,
    nFree,
    slots: known.slice(0, nConcepts).map(({ key, label }, i) => ({
      ...{ concept: key, label, latent: nFree + i, negativeLatent: negativeOf(nFree + i) },
    })),
    settings: run.settings,
  };
}

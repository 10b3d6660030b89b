/** The SAE with which an alignment begins, or which an evaluation measures. */
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Sae, usedSaeOfRuns } from '../db/queries/saes.ts';
import { saes } from '../db/tables/index.ts';
import type { AlignmentSettingsInput } from '../engine/contract/alignmentSettings.ts';
import { invalidInput, notFound } from '../errors.ts';

export type { Sae } from '../db/queries/saes.ts';

/** @throws AppError NOT_FOUND. */
export async function readSae(db: Executor, id: string): Promise<Sae> {
  const [sae] = await readByIds(db, saes, saes.id, [id]);
  if (!sae) throw notFound('Sae', id);
  return sae;
}

/**
 * The settings asked for, with what the SAE decides: where it reads, how many latents it has and how they fire. It takes
 * the place of the first stage, unless steps of that are asked for.
 * @throws AppError NOT_FOUND for the SAE; INVALID_INPUT where it does not fit the model, or settings contradict it.
 */
export async function settingsFor(
  db: Executor,
  {
    modelId,
    pretrainedSaeId,
    settings = {},
  }: { modelId: string; pretrainedSaeId: string; settings?: AlignmentSettingsInput },
): Promise<AlignmentSettingsInput> {
  const sae = await readSae(db, pretrainedSaeId);
  const refuse = (why: string) => invalidInput(['pretrainedSaeId'], `the SAE "${sae.name}" ${why}`);
  if (sae.modelId !== modelId) throw refuse("reads another model's activations");
  if (sae.config.nConcepts > 0)
    throw refuse(`has ${sae.config.nConcepts} slots; slots are added to an SAE that has none`);
  const { nFree, activation, k } = sae.config;
  const fixed = { layer: sae.layer, nFree, activation, k, decoderNorm: 'FREE' } as const;
  for (const [key, value] of Object.entries(fixed)) {
    const asked = settings[key as keyof typeof fixed];
    if (asked !== undefined && asked !== value)
      throw invalidInput(
        ['settings', key],
        `${key} must be ${value}, as the SAE to begin with has it, or be left out; got ${asked}`,
      );
  }
  return { ...settings, ...fixed, pretrain: { ...settings.pretrain, steps: settings.pretrain?.steps ?? 0 } };
}

/** The file of the SAE that a run makes use of; undefined where it uses none. @throws AppError UNAVAILABLE without it. */
export async function loadUsedSae(
  { db, store }: { db: Executor; store: ArtifactStore },
  runId: string,
): Promise<string | undefined> {
  const [sae] = await usedSaeOfRuns(db, [runId]);
  return sae ? store.path(sae.artifactHash, `the SAE "${sae.name}"`) : undefined;
}

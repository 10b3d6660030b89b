/** Edits of callers as the engine takes them. */
import { type EditPlace, type EditTarget, SLOT_ON, type SteeringEdit } from '../engine/contract/edits.ts';
import { AppError, invalidInput } from '../errors.ts';
import { findConcept, readConcepts } from './alignment.ts';
import type { Edit } from './editInput.ts';
import type { EngineWork } from './engine.ts';
import { readDifference } from './latentText.ts';
import type { Concept } from './ontology.ts';
import type { Sae } from './sae.ts';

type Target = Edit['target'];
type Path = readonly string[];

/** An SAE whose latents are to be edited, with the concepts of its dataset; none where it has none. */
export interface Steered {
  sae: Sae;
  concepts: readonly Concept[];
}

/** The SAE with what its slots are about. */
export async function readSteered({ db }: Pick<EngineWork, 'db'>, sae: Sae): Promise<Steered> {
  const { datasetId } = sae;
  return { sae, concepts: datasetId === null ? [] : await readConcepts(db, { datasetId }) };
}

/**
 * The edits as the engine takes them; differences of means are measured for it.
 * @throws AppError INVALID_INPUT with the path of what is not acceptable; NOT_FOUND for a dataset.
 */
export async function resolveEdits(
  work: EngineWork,
  steered: Steered,
  edits: readonly Edit[],
): Promise<SteeringEdit[]> {
  const resolved: SteeringEdit[] = [];
  for (const [i, edit] of edits.entries())
    resolved.push(await resolveEdit(work, steered, edit, ['edits', String(i)]));
  return resolved;
}

async function resolveEdit(
  work: EngineWork,
  steered: Steered,
  edit: Edit,
  path: Path,
): Promise<SteeringEdit> {
  const { action, strength, method, keepsError = true, relative = false } = edit;
  const target = await resolveTarget(work, steered, edit.target, [...path, 'target']);
  const source = edit.source ? await resolveTarget(work, steered, edit.source, [...path, 'source']) : null;
  const hasDirection = [target, source].some((one) => one && 'vector' in one);
  if (action === 'SWAP' && !source && 'vector' in target)
    throw invalidInput([...path, 'source'], 'source must be given where the target is a direction');
  return {
    ...{ target, source, action, strength, keepsError, relative },
    method: method ?? (hasDirection ? 'DECODER_PAIR' : 'LATENT_DECODE'),
    place: resolvePlace(steered, edit, [...path, 'place']),
  };
}

async function resolveTarget(
  work: EngineWork,
  steered: Steered,
  { concept, latent, vector, difference }: Target,
  path: Path,
): Promise<EditTarget> {
  if (concept !== undefined) return { concept: slotOf(steered, concept, [...path, 'concept']) };
  if (latent !== undefined) return { latent };
  if (vector) return { vector: Float32Array.from(vector) };
  if (difference)
    return { vector: await readDifference(work, steered.sae, difference, [...path, 'difference']) };
  throw invalidInput(path, 'give one of concept, latent, difference, vector');
}

/** Slots stand in the order of the concepts. */
function slotOf({ sae, concepts }: Steered, keyOrId: string, path: Path): number {
  if (sae.config.nConcepts === 0)
    throw invalidInput(path, 'the SAE has no slots; name a latent by its number, or a direction');
  return findConcept(concepts, keyOrId, path).position;
}

function resolvePlace(steered: Steered, { place = {}, source, action }: Edit, path: Path): EditPlace {
  const { positions = 'ANSWER', tokens = null, fromStep = null, untilStep = null, armed } = place;
  const named = { positions, tokens, fromStep, untilStep };
  if (!armed) return { ...named, armed: null };
  const { concept, latent } = armed;
  const isSource = concept === undefined && latent === undefined;
  if (isSource && action !== 'SWAP')
    throw invalidInput(
      [...path, 'armed'],
      'armed must name the concept or the latent by which the edit fires',
    );
  const target =
    concept !== undefined
      ? { concept: slotOf(steered, concept, [...path, 'armed', 'concept']) }
      : latent !== undefined
        ? { latent }
        : null;
  const trigger = isSource ? source?.latent : latent;
  const isFree = trigger !== undefined && trigger < steered.sae.config.nFree;
  if (isFree && armed.above === undefined)
    throw invalidInput([...path, 'armed', 'above'], 'above must be given where the trigger is a free latent');
  return { ...named, armed: { target, above: armed.above ?? SLOT_ON } };
}

/** The engine takes a difference of means for the vector that it is. */
export function inEditsTerms(error: unknown, edits: readonly Edit[]): unknown {
  if (!(error instanceof AppError) || error.path[0] !== 'edits') return error;
  const [, i = '', field = '', part, ...rest] = error.path;
  const given = edits[Number(i)]?.[field as 'target' | 'source'];
  if (part !== 'vector' || !given?.difference) return error;
  const message =
    rest.length > 0
      ? error.message
      : 'difference must be of two concepts whose means differ; its length is 0';
  return new AppError(error.code, message, { path: ['edits', i, field, 'difference'], cause: error });
}

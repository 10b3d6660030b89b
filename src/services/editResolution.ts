/** Edits of callers as the engine takes them. */
import type { NamedEdit, NamedTarget } from '../db/tables/index.ts';
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

/** An edit as the engine takes it, and as it was named. */
interface Resolved {
  edit: SteeringEdit;
  named: NamedEdit;
}

/**
 * The edits as the engine takes them; differences of means are measured for it.
 * @throws AppError INVALID_INPUT with the path of what is not acceptable; NOT_FOUND for a dataset.
 */
export async function resolveEdits(
  work: EngineWork,
  steered: Steered,
  edits: readonly Edit[],
): Promise<Resolved[]> {
  const resolved: Resolved[] = [];
  for (const [i, edit] of edits.entries())
    resolved.push(await resolveEdit(work, steered, edit, ['edits', String(i)]));
  return resolved;
}

async function resolveEdit(work: EngineWork, steered: Steered, given: Edit, path: Path): Promise<Resolved> {
  const { action, strength, method, keepsError = true, relative = false } = given;
  const on = await resolveTarget(work, steered, given.target, [...path, 'target']);
  const off = given.source ? await resolveTarget(work, steered, given.source, [...path, 'source']) : null;
  const hasDirection = [on, off].some((one) => one && 'vector' in one.target);
  if (action === 'SWAP' && !off && hasDirection)
    throw invalidInput([...path, 'source'], 'source must be given where the target is a direction');
  const place = resolvePlace(steered, given, [...path, 'place']);
  const fallback = hasDirection ? 'DECODER_PAIR' : 'LATENT_DECODE';
  const plain = { action, strength, keepsError, relative, method: method ?? fallback };
  return {
    edit: { ...plain, place, target: on.target, source: off?.target ?? null },
    named: { ...plain, place: namePlace(steered, place), target: on.named, source: off?.named ?? null },
  };
}

async function resolveTarget(
  work: EngineWork,
  steered: Steered,
  { concept, latent, vector, difference }: Target,
  path: Path,
): Promise<{ target: EditTarget; named: NamedTarget }> {
  if (concept !== undefined) {
    const { id, position } = slotOf(steered, concept, [...path, 'concept']);
    const slot = steered.sae.config.nFree + position;
    return {
      target: { concept: position },
      named: { kind: 'CONCEPT', conceptId: id, latent: slot },
    };
  }
  if (latent !== undefined) return { target: { latent }, named: { kind: 'LATENT', latent } };
  if (vector) return { target: { vector: Float32Array.from(vector) }, named: { kind: 'VECTOR', vector } };
  if (!difference) throw invalidInput(path, 'give one of concept, latent, difference, vector');
  const { vector: measured, ...named } = await readDifference(work, steered.sae, difference, [
    ...path,
    'difference',
  ]);
  return { target: { vector: measured }, named: { kind: 'DIFFERENCE', ...named } };
}

function namePlace({ sae }: Steered, { armed, ...place }: EditPlace): NamedEdit['place'] {
  if (!armed) return { ...place, armed: null };
  const { target, above } = armed;
  const latent =
    target === null ? null : 'concept' in target ? sae.config.nFree + target.concept : target.latent;
  return { ...place, armed: { latent, above } };
}

/** Slots stand in the order of the concepts. */
function slotOf({ sae, concepts }: Steered, keyOrId: string, path: Path): Concept {
  if (sae.config.nConcepts === 0)
    throw invalidInput(path, 'the SAE has no slots; name a latent by its number, or a direction');
  return findConcept(concepts, keyOrId, path);
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
      ? { concept: slotOf(steered, concept, [...path, 'armed', 'concept']).position }
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

/** Relay global ids: base64 of `Typename:uuid`, opaque to clients. */
import { RUN_KINDS, type RunKind } from '../engine/contract/runs.ts';
import { invalidInput } from '../errors.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A latent has no row: its SAE, the dataset on which it is looked at (or none), and its number. */
const LATENT = new RegExp(`^${UUID.source.slice(1, -1)}/(-|${UUID.source.slice(1, -1)})/(0|[1-9]\\d{0,8})$`);

export interface GlobalId {
  typename: string;
  /** The row's uuid; of a latent what it is made of. */
  id: string;
}

export function encodeGlobalId(typename: string, id: string): string {
  return Buffer.from(`${typename}:${id}`).toString('base64');
}

/** @throws AppError INVALID_INPUT when the text is not an id that this API gave out. */
export function decodeGlobalId(globalId: string, path: readonly string[] = ['id']): GlobalId {
  const problem = idProblem(globalId);
  if (problem !== null) throw invalidInput(path, problem);
  return split(globalId);
}

/** What keeps the text from being a global id; null where it is one, of whatever type. */
export function idProblem(text: string): string | null {
  const { typename, id } = split(text);
  const form = typename === 'Latent' ? LATENT : UUID;
  if (/^[A-Z]\w*$/.test(typename) && form.test(id) && encodeGlobalId(typename, id) === text) return null;
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text;
  return `"${shown}" is not an id of this API: pass on the value of an \`id\` field`;
}

function split(globalId: string): GlobalId {
  const [typename = '', id = ''] = Buffer.from(globalId, 'base64').toString('utf8').split(':');
  return { typename, id };
}

/**
 * The uuid in a global id of one of these types.
 * @throws AppError INVALID_INPUT when the id is malformed or of another type.
 */
export function idOf(globalId: string, types: readonly string[], path: readonly string[]): string {
  const { typename, id } = decodeGlobalId(globalId, path);
  if (types.includes(typename)) return id;
  throw invalidInput(path, `"${globalId}" is the id of a ${typename}; accepted is ${types.join(' or ')}`);
}

type PascalCase<S extends string> = S extends `${infer A}_${infer B}`
  ? `${Capitalize<Lowercase<A>>}${PascalCase<B>}`
  : Capitalize<Lowercase<S>>;
/** The type that shows runs of a kind: `SwapSweepRun` for `SWAP_SWEEP`. */
export type RunTypename<K extends RunKind = RunKind> = `${PascalCase<K>}Run`;

export function typenameOf<K extends RunKind>(kind: K): RunTypename<K> {
  const words = kind.split('_').map((word) => `${word[0]}${word.slice(1).toLowerCase()}`);
  return `${words.join('')}Run` as RunTypename<K>;
}

/** The types that a run's id can name. */
export const RUN_TYPES = RUN_KINDS.map(typenameOf);

/** Whether the text is a well-formed id of this type. */
export function isIdOf(value: string, type: string): boolean {
  try {
    return decodeGlobalId(value).typename === type;
  } catch {
    return false;
  }
}

/** A concept's key as it is; its id as the uuid in it. */
export function conceptKeyOrId(value: string): string {
  return isIdOf(value, 'Concept') ? decodeGlobalId(value).id : value;
}

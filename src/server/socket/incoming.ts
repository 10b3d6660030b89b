/** What a client's message asks for, as far as the socket's bounds depend on it; graphql-ws reads the rest. */
import { GraphQLError } from 'graphql';
import { refusePersistedQuery } from '../useRefusals.ts';

export interface Incoming {
  text: string;
  /** Id of the operation that it starts; null when it starts none. */
  starts: string | null;
  /** Id of the operation that it ends. */
  completes: string | null;
  /** The answer to an operation that graphql-ws would take for a broken protocol, and close the socket. */
  refusal: string | null;
  /** An answer that refuses the operation. */
  refuse(code: string, message: string): string;
}

export function readMessage(text: string): Incoming {
  const { type, id, payload } = parse(text);
  const known = typeof id === 'string' && id !== '' ? id : null;
  const starts = type === 'subscribe' ? known : null;
  const refuse = (code: string, message: string) =>
    errorMessage(known!, new GraphQLError(message, { extensions: { code } }));
  const fault = starts === null ? null : findFault(payload);
  return {
    text,
    starts,
    completes: type === 'complete' ? known : null,
    refusal: fault && errorMessage(starts!, fault),
    refuse,
  };
}

function errorMessage(id: string, { message, extensions }: GraphQLError): string {
  const { http: _, ...shown } = extensions;
  return JSON.stringify({ id, type: 'error', payload: [{ message, extensions: shown }] });
}

/** A fault of one operation must not cost the socket its others. */
function findFault(payload: unknown): GraphQLError | null {
  const bad = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } });
  if (!isObject(payload)) return bad(`"payload" must be an object, got ${JSON.stringify(payload)}.`);
  try {
    refusePersistedQuery(payload);
  } catch (error) {
    return error as GraphQLError;
  }
  if (typeof payload.query !== 'string') return bad('"payload.query" must be the text of an operation.');
  for (const key of ['variables', 'extensions'])
    if (payload[key] != null && !isObject(payload[key])) return bad(`"payload.${key}" must be an object.`);
  const name = payload.operationName;
  if (name != null && typeof name !== 'string') return bad('"payload.operationName" must be text.');
  return null;
}

function parse(text: string): Record<string, unknown> {
  try {
    const message: unknown = JSON.parse(text);
    return isObject(message) ? message : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What every text from outside must be, wherever in the API it is given: checked once, before any resolver runs. */
import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  getNamedType,
  getNullableType,
  isInputObjectType,
  isListType,
  isScalarType,
} from 'graphql';
import { labelOf } from '../engine/contract/issues.ts';
import type { InputIssue } from '../errors.ts';
import { idProblem } from './ids.ts';

/** Characters of a text; longer than any field accepts, so that whoever says more precisely gets to say it. */
const MAX_TEXT = 10_000;

/** For `extensions` of an input field: its text may be as long as a request may be. */
export const WHOLE_FILE = { wholeFile: true };

/** Everything in the arguments that no text may be, and every `ID` that is no global id, with paths among `args`. */
function textIssues(
  args: readonly (GraphQLArgument | GraphQLInputField)[],
  values: Readonly<Record<string, unknown>>,
  path: readonly string[] = [],
): InputIssue[] {
  return args.flatMap((arg) => issuesOf(arg.type, values[arg.name], [...path, arg.name], arg));
}

/** The same for all arguments of a field; an only one, `input`, is left out of paths, as everywhere. */
export function argumentIssues(
  args: readonly GraphQLArgument[],
  values: Readonly<Record<string, unknown>>,
): InputIssue[] {
  const isInput = args.length === 1 && args[0]!.name === 'input';
  const issues = textIssues(args, values);
  return isInput ? issues.map(({ path, message }) => ({ path: path.slice(1), message })) : issues;
}

/** Whether there is anything to check. */
export function takesTexts(args: readonly GraphQLArgument[]): boolean {
  return args.some(({ type }) => {
    const named = getNamedType(type);
    return isInputObjectType(named) || isText(named.name);
  });
}

function issuesOf(
  type: GraphQLInputType,
  value: unknown,
  path: readonly string[],
  of: GraphQLArgument | GraphQLInputField,
): InputIssue[] {
  if (value === undefined || value === null) return [];
  const nullable = getNullableType(type);
  if (isListType(nullable))
    return (value as unknown[]).flatMap((item, i) =>
      issuesOf(nullable.ofType, item, [...path, String(i)], of),
    );
  if (isInputObjectType(nullable))
    return textIssues(Object.values(nullable.getFields()), value as Record<string, unknown>, path);
  if (!isScalarType(nullable) || !isText(nullable.name)) return [];
  const text = nullable.name === 'Upload' ? (value as File).name : (value as string);
  const max = of.extensions.wholeFile ? Number.POSITIVE_INFINITY : MAX_TEXT;
  const problem = textProblem(text, max) ?? (nullable.name === 'ID' ? idProblem(text) : null);
  return problem === null ? [] : [{ path, message: problem.replace(/^must /, `${labelOf(path)} must `) }];
}

function isText(scalar: string): boolean {
  return scalar === 'String' || scalar === 'ID' || scalar === 'Upload';
}

function textProblem(text: string, max: number): string | null {
  if (text.length > max)
    return `must have at most ${max.toLocaleString('en-US')} characters; got ${text.length.toLocaleString('en-US')}`;
  if (text.includes('\0')) return 'must not contain the null character (U+0000)';
  return /\p{Cs}/u.test(text) ? 'must not contain half of a surrogate pair (U+D800 to U+DFFF)' : null;
}

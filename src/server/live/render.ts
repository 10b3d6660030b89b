/** One event as JSON, made once for all subscribers that selected the same. */
import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  type GraphQLFormattedError,
  getOperationAST,
  type OperationDefinitionNode,
  visit,
} from 'graphql';
import type { Context } from '../../schema/context.ts';

export type Mask = (error: unknown, message: string) => Error;

/** Subscribers with the same one get the same text for the same event. */
type Selection = object;

const selections = new WeakMap<DocumentNode, Map<string, Selection>>();
/** Rendered events; they go when the event itself is no longer held. */
const rendered = new WeakMap<object, Map<Selection, string | Promise<string>>>();

/** Renders events of one subscription; those of a shared source are remembered by event and selection. */
export class Renderer {
  readonly #selection: Selection | null;

  constructor(
    private readonly args: ExecutionArgs,
    private readonly mask: Mask,
    isShared: boolean,
  ) {
    this.#selection = isShared ? selectionOf(args) : null;
  }

  /** The result of the operation for `event` as JSON text. What has errors is made anew for the next who asks. */
  render(event: unknown): string | Promise<string> {
    if (this.#selection === null) return this.#execute(event, () => undefined);
    const selection = this.#selection;
    const known = rendered.get(event as object) ?? new Map<Selection, string | Promise<string>>();
    const before = known.get(selection);
    if (before !== undefined) return before;
    let failed = false;
    const text = this.#execute(event, () => {
      failed = true;
      known.delete(selection);
    });
    if (!failed) known.set(selection, text);
    rendered.set(event as object, known);
    return text;
  }

  #execute(event: unknown, onErrors: () => void): string | Promise<string> {
    const show = (result: ExecutionResult) => {
      if (result.errors) onErrors();
      return toJson(result, this.mask);
    };
    const result = execute({ ...this.args, rootValue: event });
    return result instanceof Promise ? result.then(show) : show(result);
  }
}

/** A result as it is sent: errors masked, without what they say to the HTTP layer. */
export function toJson({ data, errors }: ExecutionResult, mask: Mask): string {
  if (!errors) return JSON.stringify({ data });
  return JSON.stringify({ data, errors: errors.map((error) => formatError(mask(error, ''))) });
}

function formatError(error: Error): GraphQLFormattedError {
  const formatted = (
    error as Error & { toJSON(): GraphQLFormattedError & { extensions?: Record<string, unknown> } }
  ).toJSON();
  if (!formatted.extensions?.http) return formatted;
  const { http: _, ...extensions } = formatted.extensions;
  return { ...formatted, extensions };
}

/**
 * What decides how an event is shown: the document, the operation, the values of the variables below the root field,
 * and what the caller may see. Arguments of the root field choose the events, not how they are shown.
 */
function selectionOf({ document, operationName, variableValues, contextValue }: ExecutionArgs): Selection {
  const operation = getOperationAST(document, operationName)!;
  const { scopes } = (contextValue as Context).viewer;
  const used = variablesBelowRoot(document, operation).map((name) => [name, variableValues?.[name]]);
  const key = JSON.stringify([operation.name?.value, used, [...scopes].sort()]);
  const ofDocument = selections.get(document) ?? new Map<string, Selection>();
  selections.set(document, ofDocument);
  const selection = ofDocument.get(key) ?? {};
  ofDocument.set(key, selection);
  return selection;
}

function variablesBelowRoot(document: DocumentNode, operation: OperationDefinitionNode): string[] {
  const names = new Set<string>();
  const collect = { Variable: ({ name }: { name: { value: string } }) => void names.add(name.value) };
  for (const definition of document.definitions)
    if (definition.kind === 'FragmentDefinition') visit(definition, collect);
  for (const field of operation.selectionSet.selections) {
    if (field.kind === 'Field') {
      if (field.selectionSet) visit(field.selectionSet, collect);
      for (const directive of field.directives ?? []) visit(directive, collect);
    } else visit(field, collect);
  }
  return [...names].sort();
}

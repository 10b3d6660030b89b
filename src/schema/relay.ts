/** What the Relay plugin generates, with descriptions and without surprises. */
import { type GraphQLResolveInfo, isObjectType } from 'graphql';
import { invalidInput } from '../errors.ts';
import type { GlobalId } from './ids.ts';

const CURSOR = 'Opaque; pass it as `after` or `before`.';

export const relayOptions = {
  idFieldOptions: { description: 'Global id, unique over all types of this API; opaque.' },
  nodeTypeOptions: { description: 'Anything that can be fetched again by its global id.' },
  pageInfoTypeOptions: { description: 'Where a page lies in its list.' },
  nodeQueryOptions: {
    description: 'The object with this global id, of whatever type; null when it does not exist.',
    args: { id: { description: 'Value of an `id` field.' } },
    resolve: (
      _root: unknown,
      { id }: { id: GlobalId },
      _context: unknown,
      info: GraphQLResolveInfo,
      load: (id: GlobalId) => unknown,
    ) => {
      checkIsNode(id, ['id'], info);
      return load(id);
    },
  },
  nodesQueryOptions: {
    description:
      'The objects with these global ids, in the order asked for; null for each that does not exist.',
    args: { ids: { description: 'Values of `id` fields.' } },
    resolve: (
      _root: unknown,
      { ids }: { ids: GlobalId[] },
      _context: unknown,
      info: GraphQLResolveInfo,
      load: (ids: GlobalId[]) => Promise<unknown[]>,
    ) => {
      for (const [i, id] of ids.entries()) checkIsNode(id, ['ids', String(i)], info);
      return load(ids);
    },
  },
  cursorFieldOptions: { description: `Place of this item in the list. ${CURSOR}` },
  edgesFieldOptions: {
    description: 'The items of this page with their cursors.',
    nullable: false,
    complexity: { field: 0, multiplier: 1 },
  },
  nodeFieldOptions: { description: 'The item itself.', nullable: false },
  pageInfoFieldOptions: { description: 'Where this page lies in the list.' },
  hasNextPageFieldOptions: { description: 'True when items follow this page.' },
  hasPreviousPageFieldOptions: { description: 'True when items precede this page.' },
  startCursorFieldOptions: { description: `Cursor of the first item; null on an empty page. ${CURSOR}` },
  endCursorFieldOptions: { description: `Cursor of the last item; null on an empty page. ${CURSOR}` },
  firstArgOptions: {
    description:
      'How many items from the start of the list (or after `after`), at most 500; 20 when neither `first` nor `last` is given.',
  },
  lastArgOptions: {
    description:
      'How many items from the end of the list (or before `before`), at most 500; 20 when neither `first` nor `last` is given.',
  },
  afterArgOptions: { description: 'Start behind the item with this cursor.' },
  beforeArgOptions: { description: 'End before the item with this cursor.' },
  defaultConnectionTypeOptions: { description: 'One page of a list.' },
  defaultEdgeTypeOptions: { description: 'An item of a page with its place in the list.' },
} as const;

function checkIsNode({ typename }: GlobalId, path: readonly string[], { schema }: GraphQLResolveInfo): void {
  const type = schema.getType(typename);
  if (isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node')) return;
  throw invalidInput(path, `${typename} is not a type that can be fetched by id`);
}

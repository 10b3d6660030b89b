/** Descriptions of what the Relay plugin generates. */
const CURSOR = 'Opaque; pass it as `after` or `before`.';

export const relayDocs = {
  idFieldOptions: { description: 'Global id, unique over all types of this API; opaque.' },
  nodeTypeOptions: { description: 'Anything that can be fetched again by its global id.' },
  pageInfoTypeOptions: { description: 'Where a page lies in its list.' },
  nodeQueryOptions: {
    description: 'The object with this global id, of whatever type; null when it does not exist.',
    args: { id: { description: 'Value of an `id` field.' } },
  },
  nodesQueryOptions: {
    description:
      'The objects with these global ids, in the order asked for; null for each that does not exist.',
    args: { ids: { description: 'Values of `id` fields.' } },
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

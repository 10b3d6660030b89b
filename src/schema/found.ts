/** How lists of what has a name, tags and notes are filtered and ordered. */
import { builder, type SchemaTypes } from './builder.ts';
import { orderInput } from './order.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
type InputFields = PothosSchemaTypes.InputFieldBuilder<Types, 'InputObject'>;

/** Conditions that every such filter has. */
export function foundInput(t: InputFields) {
  return {
    tag: t.string({ required: false, description: 'Those that have exactly this tag.' }),
    text: t.string({
      required: false,
      description:
        'Those with all these words, in capitals or not, in their name, their notes or their tags.',
    }),
    since: t.field({ type: 'DateTime', required: false, description: 'Those made then or later.' }),
  };
}

const NamedOrderField = builder.enumType('NamedOrderField', {
  description: 'By what things with names can be ordered; of equals the one that was made first comes first.',
  values: {
    CREATED_AT: { description: 'When they were made.' },
    NAME: { description: 'Their names.' },
  } as const,
});

export const NamedOrderRef = orderInput('NamedOrder', NamedOrderField);

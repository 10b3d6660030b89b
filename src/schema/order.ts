/** Orders of lists: by which field, and which end comes first. */
import type { EnumRef } from '@pothos/core';
import { builder, type SchemaTypes } from './builder.ts';

type Types = PothosSchemaTypes.ExtendDefaultTypes<SchemaTypes>;
interface Order<Field> {
  field: Field;
  direction: 'asc' | 'desc';
}

export const OrderDirection = builder.enumType('OrderDirection', {
  description: 'Which end of an order comes first.',
  values: {
    ASC: { description: 'The smallest first.' },
    DESC: { description: 'The largest first.' },
  } as const,
});

/** An input that orders a list by one of these fields. */
export function orderInput<Field extends string>(name: string, fields: EnumRef<Types, Field>) {
  return builder.inputType(name, {
    description: 'The order of a list.',
    fields: (t) => ({
      field: t.field({ type: fields, required: true, description: 'By what.' }),
      direction: t.field({
        type: OrderDirection,
        defaultValue: 'ASC',
        required: true,
        description: 'Which end comes first.',
      }),
    }),
  });
}

/** The same in the words of queries. */
export function orderOf<Field>(
  given: { field: Field; direction: 'ASC' | 'DESC' } | null | undefined,
): Order<Field> | undefined {
  return given ? { field: given.field, direction: given.direction === 'ASC' ? 'asc' : 'desc' } : undefined;
}

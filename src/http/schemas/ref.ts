// A named schema is registered once and referred to by name, so the OpenAPI document shows its name.
import { type Static, type TSchema, Type } from 'typebox';

type NamedSchema = TSchema & { $id: string };

/** `{ $ref: '<name>#' }` with the type of the schema it names. */
export function ref<Schema extends TSchema>(schema: Schema) {
  const { $id } = schema as unknown as NamedSchema;
  return Type.Unsafe<Static<Schema>>({ $ref: `${$id}#` });
}

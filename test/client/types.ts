// The types of the client are those of the service's schemas. The client imports nothing of the service, so they are written
// twice; `tsc` compares them here.
import type { Static } from 'typebox';
import type { LayerInfo, ModelInfo, Problem, SessionInfo, SessionMark } from '../../src/client/index.ts';
import type { ModelInfo as ModelSchema } from '../../src/http/models/schemas.ts';
import type { LayerInfo as LayerSchema } from '../../src/http/schemas/layers.ts';
import type { Problem as ProblemSchema } from '../../src/http/schemas/problem.ts';
import type { SessionInfo as InfoSchema, SessionMark as MarkSchema } from '../../src/http/sessions/schemas.ts';

type Fields<Value> = { readonly [Name in keyof Value]-?: Exclude<Value[Name], undefined> };

/** Whether two objects have the same fields, and the one of the service has only values that the client expects. */
type IsExpected<Service, Client> = [keyof Service, keyof Client, Fields<Service>] extends [keyof Client, keyof Service, Fields<Client>] ? true : false;

type Expect<Found extends Wanted, Wanted> = Found;

export type Checks = [
  Expect<IsExpected<Static<typeof LayerSchema>, LayerInfo>, true>,
  Expect<IsExpected<Static<typeof ModelSchema>, ModelInfo>, true>,
  Expect<IsExpected<Static<typeof InfoSchema>, SessionInfo>, true>,
  Expect<IsExpected<Static<typeof MarkSchema>, SessionMark>, true>,
  Expect<IsExpected<Static<typeof ProblemSchema>, Problem>, true>,
  // Controls: a field that is missing, and one of another type.
  Expect<IsExpected<Static<typeof MarkSchema>, SessionInfo>, false>,
  Expect<IsExpected<Static<typeof MarkSchema>, Omit<SessionMark, 't'> & { readonly t: string }>, false>,
];

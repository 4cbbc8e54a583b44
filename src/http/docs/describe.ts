// Completes the OpenAPI document that @fastify/swagger makes of the routes: the order of its operations, their examples with the
// answers of the service, the headers of responses, and what Ajv does not accept in a schema, or is not to check.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BATCH_ITEM } from '../batch/batch-schemas.ts';
import { EXAMPLES, PATH_EXAMPLES } from './examples.ts';
import { type DescribedOperation, HEADERS, addHeaders } from './headers.ts';

/** What the service has answered to the examples: by operationId, by the name of the example or of the answer. */
export type Answers = Readonly<Record<string, Readonly<Record<string, Answer>>>>;

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly summary: string;
  readonly value: unknown;
}

interface Media {
  examples?: Record<string, { summary: string; value: unknown }>;
}

interface Content {
  content?: Record<string, Media>;
}

interface Operation extends DescribedOperation {
  readonly tags: readonly string[];
  readonly parameters?: { readonly in: string; readonly name?: string; example?: string }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content & DescribedOperation['responses'][string]>>;
}

interface Schema {
  readonly discriminator?: { readonly propertyName: string; mapping?: Record<string, string> };
  readonly oneOf?: readonly { readonly $ref: string }[];
  readonly properties?: Readonly<Record<string, { readonly enum?: readonly string[]; items?: object }>>;
}

/** The parts of a document that are read or completed here. */
export interface OpenapiDocument {
  readonly tags?: readonly { readonly name: string }[];
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>>; headers?: typeof HEADERS };
  paths?: Record<string, Record<string, Operation>>;
}

const ANSWERS = join(import.meta.dirname, 'answers.json');

/** Operations in the order in which they are shown: by tag, then by path. */
export function operationsOf({ paths = {} }: OpenapiDocument) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/** Sorts the paths by their tags, and adds examples, headers and the values of discriminators. */
export function describe(document: OpenapiDocument): void {
  const tags = (document.tags ?? []).map(({ name }) => name);
  const rankOf = (methods: Record<string, Operation>) => tags.indexOf(Object.values(methods)[0]?.tags[0] ?? '');
  const sorted = Object.entries(document.paths ?? {}).toSorted(([, a], [, b]) => rankOf(a) - rankOf(b));
  document.paths = Object.fromEntries(sorted);
  const answers = JSON.parse(readFileSync(ANSWERS, 'utf8')) as Answers;
  for (const { operation } of operationsOf(document)) {
    addExamples(operation, answers[operation.operationId] ?? {});
    addHeaders(operation);
  }
  if (document.components) document.components.headers = HEADERS;
  const schemas = document.components?.schemas ?? {};
  addMappings(schemas);
  const items = schemas['BatchBody']?.properties?.['items'];
  if (items) items.items = BATCH_ITEM;
}

/** Without a mapping the values of a discriminator would be the names of the schemas: `GruLayer` for `gru`. */
function addMappings(schemas: Readonly<Record<string, Schema>>): void {
  for (const { discriminator, oneOf = [] } of Object.values(schemas)) {
    if (!discriminator) continue;
    const valueOf = ({ $ref }: { readonly $ref: string }) =>
      schemas[$ref.split('/').at(-1)!]?.properties?.[discriminator.propertyName]?.enum?.[0] ?? '';
    discriminator.mapping = Object.fromEntries(oneOf.map((branch) => [valueOf(branch), branch.$ref]));
  }
}

function addExamples({ operationId, parameters = [], requestBody, responses }: Operation, answers: Answers[string]): void {
  const body = requestBody?.content?.['application/json'];
  const bodies = Object.entries(EXAMPLES[operationId] ?? {});
  if (body) body.examples = Object.fromEntries(bodies.map(([name, example]) => [name, { summary: example.summary, value: example.body }]));
  const inPath = parameters.find((parameter) => parameter.in === 'path');
  const pathExample = PATH_EXAMPLES[operationId];
  if (inPath && pathExample !== undefined) inPath.example = pathExample;
  for (const [name, { status, type, summary, value }] of Object.entries(answers)) {
    const media = responses[status]?.content?.[type];
    if (media) (media.examples ??= {})[name] = { summary, value };
  }
}

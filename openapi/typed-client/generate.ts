// Writes schema.d.ts: the types of the OpenAPI document, in which files are Blobs.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import openapiTs, { astToString } from 'openapi-typescript';
import ts from 'typescript';

const BLOB = ts.factory.createTypeReferenceNode('Blob');

const types = await openapiTs(new URL('../openapi.json', import.meta.url), {
  transform: ({ format }) => (format === 'binary' ? BLOB : undefined),
});
writeFileSync(join(import.meta.dirname, 'schema.d.ts'), astToString(types));

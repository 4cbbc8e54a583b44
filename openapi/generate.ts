// npm run openapi: writes the OpenAPI document of the running code to openapi/openapi.json.
// With --check it writes nothing and fails if the committed document is another.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';

const file = join(import.meta.dirname, 'openapi.json');

// Defaults only: the document does not depend on how this machine is configured.
const app = await createApp(readConfig({ WORKERS: '1', STORE_URL: 'memory:' }));
await app.http.ready();
const document = `${JSON.stringify(app.http.swagger(), null, 2)}\n`;
await app.close();

if (!process.argv.includes('--check')) {
  writeFileSync(file, document);
} else if (readFileSync(file, 'utf8') !== document) {
  console.error('openapi/openapi.json is not what the code serves: run `npm run openapi`.');
  process.exitCode = 1;
}

// npm run openapi: writes the OpenAPI document of the running code to openapi/openapi.json, with what it answers to the examples.
// With --check it writes nothing and fails if the committed document or an answer is another.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type App, createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import type { Answers } from '../src/http/docs/describe.ts';
import { answersToExamples } from './example-answers.ts';

const FILES = {
  answers: join(import.meta.dirname, '../src/http/docs/answers.json'),
  document: join(import.meta.dirname, 'openapi.json'),
};
const isCheck = process.argv.includes('--check');

// The answers are a part of the document, which is made once by each service.
put(FILES.answers, linePerAnswer(await ofService(({ http }) => answersToExamples(http))));
put(FILES.document, JSON.stringify(await ofService(async ({ http }) => http.swagger()), null, 2));

async function ofService<Made>(make: (app: App) => Promise<Made>): Promise<Made> {
  // Defaults only: the document does not depend on how this machine is configured.
  const app = await createApp(readConfig({ WORKERS: '1', STORE_URL: 'memory:' }));
  await app.http.ready();
  const made = await make(app);
  await app.close();
  return made;
}

function linePerAnswer(answers: Answers): string {
  const operations = Object.entries(answers).map(([operationId, named]) => {
    const lines = Object.entries(named).map(([name, answer]) => `    ${JSON.stringify(name)}: ${JSON.stringify(answer)}`);
    return `  ${JSON.stringify(operationId)}: {\n${lines.join(',\n')}\n  }`;
  });
  return `{\n${operations.join(',\n')}\n}`;
}

function put(file: string, json: string): void {
  const text = `${json}\n`;
  if (!isCheck) return writeFileSync(file, text);
  if (readFileSync(file, 'utf8') === text) return;
  console.error(`${relative(process.cwd(), file)} is not what the code serves: run \`npm run openapi\`.`);
  process.exitCode = 1;
}

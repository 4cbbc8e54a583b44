// Refuses a Node.js that cannot run this project, in one line.
import { isSupported, refusal } from './node-version.mjs';

if (!isSupported(process.versions.node)) {
  console.error(refusal(process.versions.node));
  process.exit(78);
}

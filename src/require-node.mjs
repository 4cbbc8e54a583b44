// Refuses a Node.js that cannot run this project, in one line. Plain JavaScript without newer syntax:
// it must load on the versions that it refuses.
const NEEDED = [24, 3];

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  console.error(`Carryover needs Node.js >= ${NEEDED.join('.')}, this is ${process.versions.node}.`);
  process.exit(78);
}

// npm run test:fuzz: a million generated bodies, or FUZZ_BODIES of them, from the seed SEED.
import { fuzz } from './fuzz.ts';
import { SEED } from '../helpers/seed.ts';

const BODIES = Number(process.env.FUZZ_BODIES ?? 1_000_000);

const start = performance.now();
console.log(`${BODIES} bodies, seed ${SEED}`);
const findings = await fuzz(BODIES, SEED, (part) => {
  if (process.stderr.isTTY) process.stderr.write(`\r${(part * 100).toFixed(1)} %`);
});
if (process.stderr.isTTY) process.stderr.write('\r');
console.log(findings);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
const fine = findings.wrong.length === 0 && findings.bytesLeft === 0 && findings.bodies === BODIES;
console.log(fine ? 'the same bits, the same errors' : 'FAILED');
process.exitCode = fine ? 0 : 1;

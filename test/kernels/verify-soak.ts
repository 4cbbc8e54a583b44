// npm run verify:soak: a million small jobs over a thousand models; memory must stay flat.
import { soak } from './soak.ts';

const start = performance.now();
const { rssMiB, grownMiB, bytesLeft } = soak(1_000_000, 1_000);
const format = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(' → ');
console.log(`resident MiB        ${format(rssMiB)}`);
console.log(`linear memory MiB   ${format(grownMiB)}`);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
const flat = rssMiB[1] - rssMiB[0] < 32 && grownMiB[1] === grownMiB[0] && bytesLeft < 1_000_000;
console.log(flat ? 'flat' : 'NOT flat');
process.exitCode = flat ? 0 : 1;

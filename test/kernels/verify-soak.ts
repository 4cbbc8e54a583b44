// npm run verify:soak: a million small jobs over a thousand models; memory must stay flat.
import { LEAK_BYTES_MAX, soak } from './soak.ts';

const start = performance.now();
const { heapBytesPerJob, linearBytesPerJob, grownBytes, rssBytes } = soak(1_000_000, 1_000);
console.log(`heap                ${heapBytesPerJob.toFixed(3)} bytes left by a job`);
console.log(`linear memory       ${linearBytesPerJob.toFixed(3)} bytes left by a job, ${grownBytes} bytes grown`);
console.log(`resident MiB        ${rssBytes.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' → ')}`);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);
const isFlat = heapBytesPerJob < LEAK_BYTES_MAX && linearBytesPerJob < LEAK_BYTES_MAX && grownBytes === 0;
console.log(isFlat ? 'flat' : 'NOT flat');
process.exitCode = isFlat ? 0 : 1;

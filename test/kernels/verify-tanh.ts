// npm run verify:tanh: the promise about tanh over all 2^32 float32, in about a minute.
import { brokenPromises, checkTanh } from './tanh-check.ts';

const start = performance.now();
let percent = -1;
const findings = checkTanh(1, 97, {
  onProgress: (part) => {
    if (!process.stderr.isTTY || Math.floor(part * 100) === percent) return;
    percent = Math.floor(part * 100);
    process.stderr.write(`\r${percent} %`);
  },
});
if (process.stderr.isTTY) process.stderr.write('\r');

const hex = (value: number) => {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return `0x${view.getUint32(0).toString(16).padStart(8, '0')}`;
};
const { worst } = findings;
console.log(findings);
console.log(
  `worst: ${worst.ulps.toFixed(4)} ulp of the exact value at x = ${worst.x} (${hex(worst.x)}): ` +
    `got ${hex(worst.got)}, correctly rounded ${hex(worst.want)}`,
);
console.log(`${((performance.now() - start) / 1000).toFixed(0)} s`);

const broken = brokenPromises(findings);
if (Object.keys(broken).length > 0) {
  console.error('FAILED', broken);
  process.exitCode = 1;
} else console.log('every result is within 1 ulp of the correctly rounded one; odd; monotonic');

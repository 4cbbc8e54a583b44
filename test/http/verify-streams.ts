// npm run verify:streams: the whole stream of 65,536 steps, 90 MB of text, to readers of several speeds: to the last line the
// server's memory stays within 64 MiB of idle, and the last state has the bits of the same sequence in
// one piece. Without back-pressure the same reading goes beyond: the measurement would show it.
import { type RunningServer, startServer } from '../helpers/process.ts';
import { longStream, readSlowly } from './slow-reader.ts';

const MiB = 1024 * 1024;
const GROWN_BYTES_MAX = 64 * MiB;
const UNTIL_END_MS = 300_000;
const NO_BACK_PRESSURE = 'test/fixtures/servers/no-back-pressure.ts';

let failures = 0;

for (const bytesPerMs of [1_000, 4_000, Infinity]) {
  const server = await startServer();
  const expected = await lastState(server);
  const reading = await readSlowly(server, { bytesPerMs, durationMs: UNTIL_END_MS });
  const isSame = reading.lastLine === `{"done":true,"t":65536,"h":${expected}}`;
  report(`${bytesPerMs / 1_000} MB/s`, reading.grownBytes, reading.receivedBytes);
  if (!isSame) console.log(`  last line differs: ${reading.lastLine?.slice(0, 200)}`);
  if (!isSame || reading.grownBytes > GROWN_BYTES_MAX) failures++;
  await server.stop();
}

const eager = await startServer({}, NO_BACK_PRESSURE);
const control = await readSlowly(eager, { bytesPerMs: 1_000, durationMs: 10_000 });
report('control, no back-pressure', control.grownBytes, control.receivedBytes);
if (control.grownBytes <= GROWN_BYTES_MAX) failures++;
await eager.stop();

console.log(failures === 0 ? 'Memory of streams is bounded.' : `${failures} of 4 failed.`);
process.exitCode = failures === 0 ? 0 : 1;

function report(name: string, grownBytes: number, receivedBytes: number): void {
  const inMiB = (bytes: number) => `${(bytes / MiB).toFixed(1)} MiB`;
  console.log(`${name}: idle + ${inMiB(grownBytes)}, ${inMiB(receivedBytes)} read`);
}

/** h of the same sequence in one piece, as it is printed. */
async function lastState({ url }: RunningServer): Promise<string> {
  const response = await fetch(`${url}/v1/sequence`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...longStream(), outputs: ['h'] }),
  });
  return /"h":(.*)\}$/.exec(await response.text())![1]!;
}

// Faults because of which no attempt is ever answered, beside those that pass.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Carryover, type CarryoverError } from '../../src/client/index.ts';
import { certificateFolder, makeCertificate } from '../helpers/certificates.ts';
import { closeAtEnd } from '../helpers/cleanup.ts';
import { describeWith } from '../helpers/needs.ts';

const { createServer: createTlsServer } = process.getBuiltinModule('node:https');
const { createServer } = process.getBuiltinModule('node:http');

/** What creating a session fails with, with two seconds for its attempts. */
async function failureAt(url: string): Promise<CarryoverError> {
  const carryover = new Carryover(url, { retry: { giveUpMs: 2_000, delayMs: 50 } });
  return carryover.sessions.create({ model: 'sunspots' }).then(() => expect.unreachable(), (error: unknown) => error as CarryoverError);
}

describeWith('openssl', 'a service whose certificate is not trusted', () => {
  test('is told at once, and that nothing was sent', async () => {
    const { cert, key } = makeCertificate(certificateFolder());
    const { readFileSync } = process.getBuiltinModule('node:fs');
    const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }).listen(0, '127.0.0.1');
    closeAtEnd(() => server.close());
    await once(server, 'listening');
    const error = await failureAt(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(error).toMatchObject({ code: 'unreachable', applied: 'no', attempts: 1 });
    expect(error.message).toMatch(/^POST \/v1\/sessions got no answer from https:.*self-signed certificate.*NODE_EXTRA_CA_CERTS/);
  });
});

test('a connection that is refused or reset is tried again until the time is over', async () => {
  const reset = createServer().on('connection', (socket) => socket.resetAndDestroy()).listen(0, '127.0.0.1');
  closeAtEnd(() => reset.close());
  await once(reset, 'listening');
  const { port } = reset.address() as AddressInfo;
  const error = await failureAt(`http://127.0.0.1:${port}`);
  expect(error).toMatchObject({ code: 'no_answer', applied: 'unknown' });
  expect(error.attempts).toBeGreaterThan(2);
  reset.close();
  await once(reset, 'close');
  expect((await failureAt(`http://127.0.0.1:${port}`)).attempts).toBeGreaterThan(2);
});

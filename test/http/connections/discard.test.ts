// What is read only to be thrown away does not keep the event loop from the requests of others.
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { setImmediate as nextIteration, setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { discard } from '../../../src/http/connections/discard.ts';

const KiB = 1024;
const CONNECTIONS = 8;
const BYTES = 512 * KiB;

/** Connections on which bytes have arrived that are not read yet. */
async function fullConnections(count = CONNECTIONS): Promise<{ readonly sockets: Socket[]; readonly clients: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => void sockets.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: count }, () => {
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    client.on('error', () => {}).end(Buffer.alloc(BYTES));
    return client;
  });
  onTestFinished(() => {
    server.close();
    for (const socket of [...sockets, ...clients]) socket.destroy();
  });
  while (sockets.length < count) await sleep(5);
  // What the system holds of each connection, without a reader.
  await sleep(50);
  return { sockets, clients };
}

/** The most bytes that were read within one event-loop iteration, until all were. */
async function read(begin: (socket: Socket) => void): Promise<number> {
  const { sockets } = await fullConnections();
  for (const socket of sockets) begin(socket);
  const bytesRead = () => sockets.reduce((sum, socket) => sum + socket.bytesRead, 0);
  let [most, before] = [0, 0];
  while (before < CONNECTIONS * BYTES) {
    await nextIteration();
    most = Math.max(most, bytesRead() - before);
    before = bytesRead();
  }
  return most;
}

describe('connections that are discarded together', () => {
  test('are read to their ends, a little in each iteration', async () => {
    expect(await read(discard)).toBeLessThanOrEqual(192 * KiB);
  });

  test('control: without turns one iteration reads much', async () => {
    expect(await read((socket) => socket.resume())).toBeGreaterThan(512 * KiB);
  });
});

test('one that is lost, and one that sends nothing, do not keep the others waiting', async () => {
  const { sockets } = await fullConnections(3);
  const [lost, , last] = sockets;
  const silent = connect({ port: (lost!.address() as AddressInfo).port, host: '127.0.0.1' });
  onTestFinished(() => void silent.destroy());
  for (const socket of [lost!, silent, last!]) discard(socket);
  lost!.destroy();
  await once(last!, 'end');
  expect(last!.bytesRead).toBe(BYTES);
});

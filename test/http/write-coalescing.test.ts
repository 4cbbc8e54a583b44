// Responses that are ready in one event-loop iteration are written together.
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate as nextIteration } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nextFlush } from '../../src/http/responses/write-coalescing.ts';
import { buildApp } from '../helpers/app.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const CONNECTIONS = 8;
const WARM_UP = 50;
const ROUNDS = 50;

test('responses are written at the end of the iteration, no later', async () => {
  const log: string[] = [];
  setImmediate(() => log.push('end of iteration'));
  void nextFlush().then(() => log.push('first'));
  void nextFlush().then(() => log.push('second'));
  queueMicrotask(() => log.push('work of the same iteration'));
  await nextIteration();
  await nextIteration();
  expect(log).toEqual(['work of the same iteration', 'end of iteration', 'first', 'second']);
});

test('the first response of a long iteration does not wait for the last', async () => {
  const log: string[] = [];
  setImmediate(() => log.push('end of iteration'));
  void nextFlush().then(() => log.push('first'));
  const endMs = performance.now() + 5;
  while (performance.now() < endMs);
  void nextFlush().then(() => log.push('second'));
  await nextIteration();
  await nextIteration();
  expect(log).toEqual(['first', 'second', 'end of iteration']);
});

test('requests that arrive together are computed before the first answer is written', async () => {
  const { http } = await buildApp();
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  const body = '{"model":"sunspots","x":[[1]]}';
  const request =
    'POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
    `content-length: ${body.length}\r\n\r\n${body}`;
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(port, '127.0.0.1'));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));

  let events = '';
  http.server.on('request', (_request, response) => {
    events += 'r';
    response.once('finish', () => (events += 'a'));
  });
  const answerAll = async () => {
    const answers = Promise.all(sockets.map((socket) => once(socket, 'data')));
    for (const socket of sockets) socket.write(request);
    await answers;
  };
  // Until the code is compiled an iteration takes longer than responses are delayed.
  for (let round = 0; round < WARM_UP; round++) await answerAll();
  events = '';
  for (let round = 0; round < ROUNDS; round++) await answerAll();
  for (const socket of sockets) socket.destroy();

  // One flush a round; without coalescing there would be one for each response.
  expect(events).toHaveLength(2 * ROUNDS * CONNECTIONS);
  expect(flushesIn(events)).toBeLessThan(3 * ROUNDS);
});

test('messages that arrive together on WebSockets are computed before the first answer is written', async () => {
  const app = await buildApp();
  const { http } = app;
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  let events = '';
  http.websocketServer.on('connection', (socket) => {
    socket.on('message', () => (events += 'r'));
    const send = socket.send.bind(socket) as (...args: unknown[]) => void;
    socket.send = (...args: unknown[]) => {
      events += 'a';
      send(...args);
    };
  });
  const connect = async () => {
    const { body } = await app.post('/v1/sessions', { model: 'sunspots' });
    const url = `ws://127.0.0.1:${port}/v1/sessions/${body.id}/stream`;
    return (await StreamClient.connect(url)).client;
  };
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, connect));

  const answerAll = () => Promise.all(clients.map((client) => client.ask({ x: [[1]] })));
  for (let round = 0; round < WARM_UP; round++) await answerAll();
  events = '';
  for (let round = 0; round < ROUNDS; round++) await answerAll();

  expect(events).toHaveLength(2 * ROUNDS * CONNECTIONS);
  expect(flushesIn(events)).toBeLessThan(3 * ROUNDS);
});

/** Responses in a row were written together. */
function flushesIn(events: string): number {
  return events.match(/a+/g)?.length ?? 0;
}

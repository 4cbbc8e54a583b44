// Clients that do not read their responses, or read too slowly.
import { describe, expect, test, vi } from 'vitest';
import { eventually, RawClient, until } from '../../helpers/raw-client.ts';
import { requestText } from '../../helpers/request-text.ts';
import { SOON_MS, listen, longStream, openSockets } from './server.ts';

describe('a reader', () => {
  test('a reader that never reads small responses is disconnected', async () => {
    const server = await listen({ STREAM_STALL_MS: '200' });
    const docs = requestText('GET', '/openapi.json').repeat(200);
    const clients = Array.from({ length: 4 }, () => new RawClient(server.port, docs, false));
    await eventually(() => clients.every(({ socket }) => !socket.connecting), SOON_MS);
    const disconnected = () => server.lines().filter(({ unanswered }) => unanswered === 'the response was not read');
    await eventually(() => disconnected().length >= 4, SOON_MS);
    expect(await openSockets(server, 0)).toBe(true);
  });

  test('a reader below the minimum rate is disconnected, one above it is not', async () => {
    const server = await listen({ STREAM_STALL_MS: '1000', READ_BYTES_PER_S_MIN: '1000000' });
    const slow = new RawClient(server.port, longStream(), false);
    const timer = setInterval(() => slow.socket.read(2_000), 20);
    const fast = new RawClient(server.port, longStream(), false);
    // All of it would be copied whenever its end is looked at.
    let end = '';
    fast.socket.resume().on('data', (chunk) => (end = (end + chunk.toString('latin1')).slice(-5)));
    expect(await until(() => end === '0\r\n\r\n' || fast.isClosed, SOON_MS)).toBe(true);
    expect(end).toBe('0\r\n\r\n');
    await eventually(() => server.lines().some(({ unanswered }) => unanswered !== undefined), SOON_MS);
    clearInterval(timer);
    const disconnected = server.lines().filter(({ unanswered }) => unanswered === 'the response was not read');
    expect(disconnected).toHaveLength(1);
  });

  test('a reader that does not read its stream is disconnected for another stream at STREAMS_MAX', async () => {
    const server = await listen({ STREAMS_MAX: '2', STREAM_STALL_MS: '4000' });
    const silent = [0, 1].map(() => new RawClient(server.port, longStream(), false));
    await vi.waitFor(
      async () => {
        const next = new RawClient(server.port, longStream());
        await eventually(() => next.text.length > 0, SOON_MS);
        expect(next.text).toMatch(/^HTTP\/1.1 200/);
        next.socket.destroy();
      },
      { timeout: SOON_MS, interval: 50 },
    );
    expect(silent).toHaveLength(2);
    // After a longer time both would be disconnected.
    expect(server.lines().filter(({ unanswered }) => unanswered !== undefined)).toHaveLength(1);
  });
});

// HTTPS: all that handles sockets works as over plain TCP, and the certificate is read again without a restart.
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { type TLSSocket, connect as connectTls } from 'node:tls';
import { describe, expect, test, vi } from 'vitest';
import { Certificate } from '../../src/settings/certificate.ts';
import { type CertificateFiles, certificateFolder, makeCertificate } from '../helpers/certificates.ts';
import { describeWith } from '../helpers/needs.ts';
import { RawClient, eventually, until } from '../helpers/raw-client.ts';
import { StreamClient } from '../helpers/stream-client.ts';
import { LARGE_STEP, LIVE, SOON_MS, type Server, listen, longStream, stepRequest } from './connections/server.ts';

describeWith('openssl', 'HTTPS', async () => {
  const folder = certificateFolder();
  const files = makeCertificate(folder);
  const settings = (more = {}) => ({ TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.key, REQUEST_TIMEOUT_MS: '1000', ...more });
  const server = await listen(settings());
  const plain = await listen({ REQUEST_TIMEOUT_MS: '1000' });
  const client = (bytes: string, { port }: Server = server, reads = true) => new RawClient(port, bytes, reads, { ca: files.pem() });

  test('a step is answered by the same bytes as over TCP, and logged with the same numbers', async () => {
    const tcp = await new RawClient(plain.port, stepRequest({ 'x-request-id': 'one' })).answer();
    const tls = await client(stepRequest({ 'x-request-id': 'one' })).answer();
    expect([tls.status, tls.body]).toEqual([200, tcp.body]);
    await eventually(() => [server, plain].every(({ lines }) => lines().some(({ reqId }) => reqId === 'one')), SOON_MS);
    const [one, other] = [server, plain].map(({ lines }) => lines().find(({ reqId }) => reqId === 'one'));
    // The durations in Server-Timing may have another number of digits.
    expect(Math.abs(one.bytesOut - other.bytesOut)).toBeLessThan(60);
    expect(one).toMatchObject({ bytesIn: other.bytesIn, client: '127.0.0.1', statusCode: 200 });
  });

  test.each([
    ['bytes that are no request', 'NONSENSE / HTTP/1.1\r\n\r\n', 400],
    ['a head that is too large', `GET / HTTP/1.1\r\nhost: localhost\r\n${'a: b\r\n'.repeat(5_000)}\r\n`, 431],
    ['a head that does not come', 'GET / HTTP/1.1\r\nhost: localhost\r\n', 408],
    ['a body that does not come', stepRequest({ 'content-length': 1_000 }, '{'), 408],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
  ])('%s is answered, and the connection closed', async (_, bytes, status) => {
    const sender = client(bytes);
    expect((await sender.answer()).status).toBe(status);
    expect(await sender.closedWithin(SOON_MS)).toBe(true);
  });

  test('a client that is still sending receives the refusal of its body', async () => {
    // Both sides share a thread here: half a second would be too short to read the answer behind 20 MB.
    const limited = await listen(settings({ BODY_BYTES_MAX: '100000', REQUEST_TIMEOUT_MS: '10000' }));
    const sender = client(stepRequest({ 'content-length': 20_000_000 }, LARGE_STEP), limited);
    for (let sent = 0; sent < 20; sent++) sender.send(Buffer.alloc(900_000, ' '));
    expect(await sender.answer()).toMatchObject({ status: 413, headers: { connection: 'close' } });
  });

  test('requests in a row use one connection, and pipelined ones are answered in order', async () => {
    const sender = client(LIVE + stepRequest() + LIVE);
    expect([(await sender.answer(2)).status, ...sender.answers.map(({ body }) => JSON.parse(body).h !== undefined)]).toEqual([200, false, true, false]);
  });

  test('a WebSocket is served', async () => {
    const created = await server.app.post('/v1/sessions', { weights: { W_x: [[0.5]], W_h: [[0.8]] } });
    const address = `wss://127.0.0.1:${server.port}/v1/sessions/${created.body.id}/stream`;
    const { client: socket, greeting } = await StreamClient.connect(address, { ca: files.pem() });
    expect(greeting.session.t).toBe(0);
    expect((await socket.ask({ x: [[1]] })).session.t).toBe(1);
    await socket.close();
  });

  test('a stream arrives whole, and its reader below the minimum rate is disconnected, one above it is not', async () => {
    const strict = await listen(settings({ STREAM_STALL_MS: '1000', READ_BYTES_PER_S_MIN: '100000' }));
    const slow = client(longStream(), strict, false);
    const timer = setInterval(() => slow.socket.read(200), 20);
    const fast = client(longStream(), strict, false);
    let end = '';
    fast.socket.resume().on('data', (chunk) => (end = (end + chunk.toString('latin1')).slice(-5)));
    expect(await until(() => end === '0\r\n\r\n' || fast.isClosed, SOON_MS)).toBe(true);
    expect(end).toBe('0\r\n\r\n');
    await eventually(() => strict.lines().some(({ unanswered }) => unanswered !== undefined), SOON_MS);
    clearInterval(timer);
    expect(strict.lines().filter(({ unanswered }) => unanswered === 'the response was not read')).toHaveLength(1);
  });

  describe('before the handshake', () => {
    const closed = async (socket: Socket, ms: number) => {
      let isClosed = false;
      socket.once('close', () => (isClosed = true)).on('error', () => {}).resume();
      await until(() => isClosed, ms);
      socket.destroy();
      return isClosed;
    };

    test('a client that says nothing is disconnected in the time of a head', async () => {
      const startMs = performance.now();
      expect(await closed(connect(server.port, '127.0.0.1'), SOON_MS)).toBe(true);
      expect(performance.now() - startMs).toBeLessThan(5_000);
    });

    test('a client of plain HTTP is disconnected, and the log says why', async () => {
      const { port, lines } = await listen(settings({ N_MAX: '7' }));
      const socket = connect(port, '127.0.0.1');
      socket.write(LIVE);
      expect(await closed(socket, SOON_MS)).toBe(true);
      await eventually(() => lines().length > 0, SOON_MS);
      expect(lines()).toEqual([expect.objectContaining({ code: 'ERR_SSL_HTTP_REQUEST', msg: 'no TLS connection: the handshake failed' })]);
    });

    test('connections count, and the oldest is closed for a new one', async () => {
      const few = await listen(settings({ CONNECTIONS_MAX: '3', REQUEST_TIMEOUT_MS: '10000' }));
      const silent = Array.from({ length: 6 }, () => connect(few.port, '127.0.0.1'));
      const ends = silent.map((socket) => closed(socket, SOON_MS));
      expect((await client(stepRequest(), few).answer()).status).toBe(200);
      expect(await Promise.all(ends.slice(0, 4))).toEqual([true, true, true, true]);
      silent.forEach((socket) => socket.destroy());
      await Promise.all(ends);
    });
  });

  test('versions before TLS_MIN_VERSION are refused', async () => {
    const strict = await listen(settings({ TLS_MIN_VERSION: '1.3' }));
    const versionAt = ({ port }: Server, maxVersion: 'TLSv1.2' | 'TLSv1.1') => {
      const options = { port, host: '127.0.0.1', ca: files.pem(), maxVersion, minVersion: 'TLSv1' as const };
      const socket = connectTls(options);
      return once(socket, 'secureConnect').then(
        () => (socket.destroy(), socket.getProtocol()),
        () => 'refused',
      );
    };
    expect(await versionAt(server, 'TLSv1.2')).not.toBe('refused');
    expect(await versionAt(server, 'TLSv1.1')).toBe('refused');
    expect(await versionAt(strict, 'TLSv1.2')).toBe('refused');
  });

  test('an instance that drains refuses new connections, and answers one more request on one that is open', async () => {
    const own = await listen(settings({ CONNECTIONS_MAX: '50' }));
    const sender = client(LIVE, own);
    await sender.answer();
    const drained = own.app.drain(1);
    await eventually(() => !own.app.http.server.listening, SOON_MS);
    sender.send(stepRequest());
    expect(await sender.answer(1)).toMatchObject({ status: 200, headers: { connection: 'close' } });
    await drained;
    await own.app.close();
  });

  test('the end of the service is as without TLS', async () => {
    const { app, port } = await listen(settings({ N_MAX: '8' }));
    const agent = new Agent({ keepAlive: true, ca: files.pem() });
    expect(await statusBy(agent, port)).toBe(200);
    const silent = connect(port, '127.0.0.1').on('error', () => {});
    await once(silent, 'connect');
    const startMs = performance.now();
    await app.close();
    expect(performance.now() - startMs).toBeLessThan(5_000);
    agent.destroy();
    silent.destroy();
  });

  test('a connection that is open while the service drains gets the response to its next request, as its last one', async () => {
    const { app, port } = await listen(settings({ N_MAX: '9', DRAIN_DELAY_MS: '1' }));
    const open = client(LIVE, { port } as Server);
    expect((await open.answer()).headers.connection).toBe('keep-alive');
    const drained = app.drain(1);
    await eventually(() => !app.http.server.listening, SOON_MS);
    open.send(stepRequest());
    expect(await open.answer(1)).toMatchObject({ status: 200, headers: { connection: 'close' } });
    await drained;
    expect(await open.closedWithin(SOON_MS)).toBe(true);
    await app.close();
  });

  describe('a certificate that is read again', () => {
    const copy = (from: CertificateFiles, to: CertificateFiles) => {
      copyFileSync(from.cert, to.cert);
      copyFileSync(from.key, to.key);
    };

    test('is that of new connections, and open ones go on', async () => {
      const [first, next] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'next')];
      const used = makeCertificate(folder, 'used');
      copy(first, used);
      const { app, port, lines } = await listen({ TLS_CERT_FILE: used.cert, TLS_KEY_FILE: used.key });
      const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: [first.pem(), next.pem()] });
      const sockets = new Set<Socket>();
      agent.on('free', (socket: Socket) => sockets.add(socket));
      expect([await statusBy(agent, port), await nameAt(port)]).toEqual([200, 'first']);

      copy(next, used);
      app.reload();
      expect([await statusBy(agent, port), await nameAt(port), sockets.size]).toEqual([200, 'next', 1]);
      expect(lines().find(({ msg }) => msg === 'certificate')).toMatchObject({ subject: 'DNS:localhost, IP Address:127.0.0.1' });

      for (const [spoil, reason] of [
        [() => copyFileSync(first.key, used.key), /TLS_KEY_FILE is not the key of the certificate in TLS_CERT_FILE \(CN=next\)/],
        [() => writeFileSync(used.cert, 'half a'), /TLS_CERT_FILE has no certificate in PEM/],
      ] as const) {
        spoil();
        app.reload();
        expect([await statusBy(agent, port), await nameAt(port)]).toEqual([200, 'next']);
        const failures = lines().filter(({ msg }) => msg === 'the new certificate cannot be used, and the old one stays');
        expect(failures.at(-1)).toMatchObject({ level: 50, reason: expect.stringMatching(reason) });
      }

      copy(first, used);
      app.reload();
      expect(await nameAt(port)).toBe('first');
      agent.destroy();
    });

    test('that has expired is served, and the log warns', async () => {
      const old = makeCertificate(folder, 'old');
      const { app, port, lines } = await listen({ TLS_CERT_FILE: old.cert, TLS_KEY_FILE: old.key });
      const inThreeDays = Date.now() + 3 * 86_400_000;
      const clock = vi.spyOn(Date, 'now').mockReturnValue(inThreeDays);
      app.reload();
      clock.mockRestore();
      expect(lines()).toEqual([expect.objectContaining({ level: 40, msg: 'the certificate has expired: clients refuse it' })]);
      expect(await nameAt(port)).toBe('old');
    });

    test('is nothing to do without one', () => {
      plain.app.reload();
      expect(plain.lines().map(({ msg }) => msg)).toContain('nothing to read again: there is no certificate (TLS_CERT_FILE)');
    });
  });

  describe('files that cannot be used are all named', () => {
    const other = makeCertificate(folder, 'other');
    const missing = join(folder, 'missing.pem');
    const nonsense = join(folder, 'nonsense.pem');
    writeFileSync(nonsense, 'nonsense');
    const encrypted = join(folder, 'encrypted.pem');
    const key = createPrivateKey(readFileSync(files.key));
    writeFileSync(encrypted, key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }));
    test.each([
      [missing, missing, /^TLS_CERT_FILE cannot be read: ENOENT.*missing\.pem'\nTLS_KEY_FILE cannot be read: ENOENT.*missing\.pem'$/],
      [folder, files.key, /^TLS_CERT_FILE cannot be read: EISDIR/],
      [nonsense, nonsense, /^TLS_CERT_FILE has no certificate in PEM: .*\nTLS_KEY_FILE has no private key in PEM: .*nonsense\.pem$/],
      [files.key, files.cert, /^TLS_CERT_FILE has no certificate in PEM: .*\nTLS_KEY_FILE has no private key in PEM: /],
      [files.cert, encrypted, /^TLS_KEY_FILE is encrypted, expected a key without a passphrase: /],
      [files.cert, other.key, /^TLS_KEY_FILE is not the key of the certificate in TLS_CERT_FILE \(CN=server\)$/],
    ])('%s and %s', (TLS_CERT_FILE, TLS_KEY_FILE, message) => {
      expect(() => new Certificate({ TLS_CERT_FILE, TLS_KEY_FILE, TLS_MIN_VERSION: '1.2' })).toThrow(message);
    });
  });
});

/** The status of a probe on the connection of the agent. */
async function statusBy(agent: Agent, port: number): Promise<number | undefined> {
  const sent = request({ agent, port, host: '127.0.0.1', path: '/health/live' }).end();
  const [response] = await once(sent, 'response');
  await response.resume().toArray();
  return response.statusCode;
}

/** The name in the certificate of a new connection. */
async function nameAt(port: number): Promise<string | undefined> {
  const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return CN as string | undefined;
}

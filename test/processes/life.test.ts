// How several processes start, reload and end, with HTTPS, keys and an audit log.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { certificateFolder, makeCertificate } from '../helpers/certificates.ts';
import { writeKeys } from '../helpers/keys.ts';
import { describeLong, sized, testLong } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { type RunningProcess, spawnServer, startServer, until } from '../helpers/process.ts';
import { type RedisServer, startRedis } from '../helpers/redis.ts';
import { callAlone, isRunning, linesOf, startService } from './service.ts';

/** How often all are killed. */
const ROUNDS = sized({ short: 1, long: 5 });
const root = join(import.meta.dirname, '../..');
/** To the end of the process. */
const run = (env: Record<string, string>) => {
  const { status, stderr } = spawnSync(process.execPath, ['src/server.ts'], {
    cwd: root,
    env: { ...process.env, PORT: '0', WORKERS: '1', LOG_LEVEL: 'silent', PROCESSES: '2', ...env },
    encoding: 'utf8',
  });
  return { status, lines: stderr.trim().split('\n') };
};

describe('several processes without Redis', () => {
  test.each([
    ['sqlite:data/x.sqlite', 'a SQLite file belongs to one process'],
    ['memory:', 'what one process has in its memory the others cannot see'],
  ])('with %s are refused in one line, with the reason and what to do', (STORE_URL, reason) => {
    const { status, lines } = run({ STORE_URL });
    expect(status).toBe(78);
    const advice = 'Set STORE_URL=redis://…, or leave PROCESSES out';
    expect(lines).toEqual(['Invalid configuration:', `  PROCESSES=2 needs Redis, got STORE_URL=${STORE_URL}: ${reason}. ${advice}`]);
  });
});

describeWith(['redis-server', 'openssl'], 'several processes', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  testLong('what keeps the first one from starting is said once, and its exit code is that of all', async () => {
    const { status, lines } = run({ STORE_URL: redis.url, API_KEYS_FILE: '/none/keys.json' });
    expect(status).toBe(78);
    expect(lines).toEqual([expect.stringMatching(/^Cannot start: API_KEYS_FILE: \/none\/keys\.json cannot be read/)]);
  });

  testLong('a port in use is one line: that of the service with exit code 1, that of the metrics with 78', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const port = String((taken.address() as { port: number }).port);
    for (const [setting, code, advice] of [['PORT', 1, 'HOST and PORT'], ['METRICS_PORT', 78, 'METRICS_HOST and METRICS_PORT']] as const) {
      // Not spawnSync: this process must take the connection that is tried.
      const server = spawnServer({ PROCESSES: '2', STORE_URL: redis.url, LOG_LEVEL: 'silent', [setting]: port });
      expect((await once(server.process, 'exit'))[0]).toBe(code);
      expect(server.output()).toMatch(new RegExp(`^Cannot listen: .*EADDRINUSE.*Choose another with ${advice}\\.\\n$`));
    }
  });

  testLong('a second signal ends all of them at once, with exit code 1', async () => {
    const service = await startService({ STORE_URL: redis.url, DRAIN_DELAY_MS: '20000' });
    const pids = service.pids();
    const exit = once(service.process, 'exit');
    service.process.kill('SIGTERM');
    await until(service, () => (service.lines('shutting down').length === 3 ? true : undefined));
    expect((await callAlone(`${service.url}/health/ready`)).body).toMatchObject({ reasons: ['shutting down'] });
    service.process.kill('SIGTERM');
    expect((await exit)[0]).toBe(1);
    expect(service.output()).toMatch(/^second SIGTERM, exiting$/m);
    while (pids.some(isRunning)) await sleep(20);
  });

  testLong('a signal to all of them at once, as of a terminal or of systemd, ends each as one signal does', async () => {
    const service = await startService({ STORE_URL: redis.url, DRAIN_DELAY_MS: '300' });
    const exit = once(service.process, 'exit');
    for (const pid of [service.process.pid!, ...service.pids()]) process.kill(pid, 'SIGINT');
    await sleep(100);
    expect((await callAlone(`${service.url}/v1/step`, { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] })).status).toBe(200);
    expect((await exit)[0]).toBe(0);
    expect(service.output()).not.toContain('second');
  });

  testLong('SIGTERM during the start ends the first process, and no other is started', async () => {
    const server = spawnServer({ PROCESSES: '2', STORE_URL: redis.url, LOG_LEVEL: 'info' });
    await until(server, () => (linesOf(server, 'model loaded').length === 1 ? true : undefined));
    expect(await server.stop()).toBe(0);
    expect(linesOf(server, 'model loaded')).toHaveLength(1);
    expect(server.output()).not.toContain('API ');
  });

  testLong('one that hangs at the end is killed after SHUTDOWN_TIMEOUT_MS, and the exit code is 1', async () => {
    const service = await startService({ STORE_URL: redis.url, SHUTDOWN_TIMEOUT_MS: '1000' });
    const pids = service.pids();
    process.kill(pids[0]!, 'SIGSTOP');
    const startMs = performance.now();
    expect(await service.stop()).toBe(1);
    expect(performance.now() - startMs).toBeGreaterThan(999);
    expect(service.output()).toContain('killed by timeout');
    while (pids.some(isRunning)) await sleep(20);
  });

  testLong('without the primary nothing goes on', async () => {
    const service = await startService({ STORE_URL: redis.url });
    service.process.kill('SIGKILL');
    while (service.pids().some(isRunning)) await sleep(20);
    await expect(callAlone(`${service.url}/health/live`)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('with certificate, keys and audit log: SIGHUP and a change of the keys reach all, and each line of the audit log is whole', async () => {
    const folder = certificateFolder();
    const [files, next] = [makeCertificate(folder), makeCertificate(folder, 'next')];
    const logs = mkdtempSync(join(tmpdir(), 'carryover-audit-'));
    onTestFinished(() => rmSync(logs, { recursive: true }));
    const audit = join(logs, 'audit.log');
    const { file, keys } = writeKeys(['a']);
    const settings = { TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.key, API_KEYS_FILE: file, AUDIT_LOG: audit, LOG_LEVEL: 'info' };
    const server = spawnServer({ PROCESSES: '2', STORE_URL: redis.url, ...settings });
    const [, port] = await until(server, () => /API +https:\/\/127\.0\.0\.1:(\d+)\//.exec(server.output()));

    // A key of another tenant, in place of the first.
    const other = writeKeys(['b']);
    /** The statuses of a call on each of `count` connections, which go to the processes in turn. */
    const calls = (key: string, count = 8) => Promise.all(Array.from({ length: count }, () => createSession(Number(port), key)));
    expect(await calls(keys[0]!, 40)).toEqual(Array(40).fill(201));
    expect(await calls(other.keys[0]!)).toEqual(Array(8).fill(401));
    const lines = readFileSync(audit, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
    expect(lines.map(({ action }) => action as string)).toEqual(Array(40).fill('session.create'));
    expect(new Set(lines.map(({ pid }) => pid as number)).size).toBe(2);

    copyFileSync(other.file, file);
    await until(server, () => (linesOf(server, 'API keys read again').length === 2 ? true : undefined));
    expect(await calls(keys[0]!)).toEqual(Array(8).fill(401));
    expect(await calls(other.keys[0]!)).toEqual(Array(8).fill(201));

    copyFileSync(next.cert, files.cert);
    copyFileSync(next.key, files.key);
    server.process.kill('SIGHUP');
    await until(server, () => (linesOf(server, 'certificate').length === 4 ? true : undefined));
    const names = await Promise.all(Array.from({ length: 8 }, () => nameOfCertificate(Number(port))));
    expect(names).toEqual(Array(8).fill('next'));
    expect(await server.stop()).toBe(0);
  });

  testLong('if all are killed at once, again and again, they are replaced, and listen where they did', async () => {
    const service = await startService({ STORE_URL: redis.url });
    for (let round = 1; round <= ROUNDS; round++) {
      for (const pid of service.pids().filter(isRunning)) process.kill(pid, 'SIGKILL');
      // One that was started between the two may have another port, and is replaced as well.
      await until(service, () => (service.lines('a process serves in place of one that ended').length === 2 * round ? true : undefined));
    }
    expect((await callAlone(`${service.url}/v1/step`, { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] })).status).toBe(200);
    expect(await service.stop()).toBe(0);
  }, 300_000);
});

// What the short form has in its place: a process that hangs makes the service not ready; see processes.test.ts.
describeLong('several processes', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  test('a process that hangs for half a minute is killed and replaced', { timeout: 120_000 }, async () => {
    const service = await startService({ STORE_URL: redis.url });
    process.kill(service.pids()[0]!, 'SIGSTOP');
    await until(service, () => (service.lines('a process serves in place of one that ended').length === 1 ? true : undefined));
    expect(service.lines('a process does not answer and is killed')).toMatchObject([{ process: service.pids()[0] }]);
    expect(await service.stop()).toBe(0);
  });

  test('when none can be started any more, the whole ends with the exit code of the last', { timeout: 240_000 }, async () => {
    const { file } = writeKeys(['a']);
    const server: RunningProcess = await startServer({ PROCESSES: '2', STORE_URL: redis.url, API_KEYS_FILE: file, LOG_LEVEL: 'info' });
    writeFileSync(file, 'no keys');
    const exit = once(server.process, 'exit');
    for (const { pid } of linesOf(server, 'kernels')) process.kill(pid, 'SIGKILL');
    expect((await exit)[0]).toBe(78);
    expect(linesOf(server, 'no process can be started, shutting down')).toHaveLength(1);
  });
});

/** @returns the status */
function createSession(port: number, key: string): Promise<number> {
  const body = '{"model":"sunspots"}';
  const head = [
    'POST /v1/sessions HTTP/1.1',
    'host: 127.0.0.1',
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    'connection: close',
  ];
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    let text = '';
    socket.once('error', reject).on('data', (chunk: Buffer) => (text += chunk));
    socket.once('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])));
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  });
}

/** The name in the certificate of a new connection. */
async function nameOfCertificate(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject as { CN: string };
  socket.destroy();
  return CN;
}

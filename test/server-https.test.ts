// The process with a certificate, and what it does on SIGHUP.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readStages, startOf } from './docker/dockerfile.ts';
import { certificateFolder, makeCertificate } from './helpers/certificates.ts';
import { describeLong, testLong } from './helpers/long.ts';
import { describeWith } from './helpers/needs.ts';
import { NODE_FLAGS, type RunningProcess, spawnServer, startServer, until } from './helpers/process.ts';

const root = join(import.meta.dirname, '..');

/** Runs to its end, with these variables. */
async function run(command: string, args: readonly string[], env: Record<string, string>) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

describeWith('openssl', 'a service with a certificate', () => {
  const folder = certificateFolder();
  const [files, next] = [makeCertificate(folder), makeCertificate(folder, 'next')];
  const tls = { TLS_CERT_FILE: files.cert, TLS_KEY_FILE: files.key };
  const authority = join(folder, 'authority.pem');
  copyFileSync(files.cert, authority);
  let server: RunningProcess;
  let port: number;

  beforeAll(async () => {
    server = spawnServer({ ...tls, LOG_LEVEL: 'info' });
    port = Number((await until(server, () => /API +https:\/\/127\.0\.0\.1:(\d+)\//.exec(server.output())))[1]);
  });
  afterAll(() => server?.stop());

  /** The name in the certificate of a new connection. */
  const nameNow = async () => {
    const sent = request({ port, host: '127.0.0.1', path: '/health/ready', rejectUnauthorized: false, agent: false }).end();
    const [response] = await once(sent, 'response');
    const { CN } = response.socket.getPeerCertificate().subject;
    response.resume();
    return CN as string;
  };

  test('the greeting has addresses of HTTPS, and the log the names in the certificate', () => {
    expect(server.output()).toContain(`curl https://127.0.0.1:${port}/v1/step`);
    expect(server.output()).toMatch(/"subject":"DNS:localhost, IP Address:127\.0\.0\.1".*"msg":"certificate"/);
  });

  test('the command line calls it, if the authority is one that Node.js knows', async () => {
    const list = (env: Record<string, string>) =>
      run(process.execPath, ['src/cli/carryover.mjs', 'sessions', '--url', `https://localhost:${port}`], env);
    expect(await list({ NODE_EXTRA_CA_CERTS: authority })).toMatchObject({ code: 0 });
    const { code, output } = await list({});
    expect(code).toBe(69);
    expect(output).toMatch(/The certificate of https:\/\/localhost:\d+ is not trusted \(.*\)\..* NODE_EXTRA_CA_CERTS/);
  });

  test('the health check of the image asks it by HTTPS', async () => {
    const { healthcheck } = startOf(readStages(readFileSync(join(root, 'Dockerfile'), 'utf8')));
    const [, ...args] = healthcheck;
    expect((await run(process.execPath, args, { PORT: String(port), ...tls })).code).toBe(0);
    expect((await run(process.execPath, args, { PORT: String(port), TLS_CERT_FILE: '' })).code).toBe(1);
  });

  testLong('`carryover doctor` looks at the certificate, and finds the service', async () => {
    const doctor = async (env: Record<string, string>) => {
      const { output } = await run(process.execPath, ['src/cli/carryover.mjs', 'doctor', '--json'], { PORT: String(port), STORE_URL: 'memory:', ...tls, ...env });
      const findings = JSON.parse(output) as { name: string; status: string; found: string }[];
      return Object.fromEntries(findings.map(({ name, status, found }) => [name, `${status}: ${found}`]));
    };
    expect(await doctor({ NODE_EXTRA_CA_CERTS: authority })).toMatchObject({
      certificate: expect.stringMatching(/^ok: DNS:localhost, IP Address:127\.0\.0\.1, valid to /),
      address: expect.stringContaining('a service runs at'),
    });
    expect(await doctor({ TLS_KEY_FILE: next.key })).toMatchObject({
      certificate: expect.stringMatching(/^fail: TLS_KEY_FILE is not the key/),
      address: expect.stringContaining('its certificate is not trusted here'),
    });
  });

  test('SIGHUP reads the certificate again; one that cannot be used is logged, and the old one stays', async () => {
    expect(await nameNow()).toBe('server');
    copyFileSync(next.key, files.key);
    server.process.kill('SIGHUP');
    await until(server, () => /"level":50.*TLS_KEY_FILE is not the key of the certificate.*the old one stays/.exec(server.output()));
    expect(await nameNow()).toBe('server');

    copyFileSync(next.cert, files.cert);
    server.process.kill('SIGHUP');
    await until(server, async () => (await nameNow()) === 'next' || undefined);
  });

  test('the end is an end, with exit code 0', async () => {
    expect(await server.stop()).toBe(0);
  });

  testLong('files that cannot be used are named before anything is started, and the exit code is 78', () => {
    const env = { ...process.env, STORE_URL: 'memory:', TLS_CERT_FILE: join(folder, 'none.pem'), TLS_KEY_FILE: authority };
    const { status, stdout, stderr } = spawnSync(process.execPath, ['src/server.ts'], { cwd: root, env, encoding: 'utf8' });
    expect([status, stdout]).toEqual([78, '']);
    expect(stderr).toMatch(/^Cannot start: TLS_CERT_FILE cannot be read: ENOENT.*\nTLS_KEY_FILE has no private key in PEM: .*\n$/);
  });
});

describeLong('SIGHUP without a certificate', () => {
  test('is logged, and nothing else happens', async () => {
    const server = await startServer({ LOG_LEVEL: 'info' });
    server.process.kill('SIGHUP');
    await until(server, () => /nothing to read again: there is no certificate/.exec(server.output()));
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });

  // The terminal is that of `script`, which ends with it.
  describeWith('script', 'at a terminal', () => {
    test('that is closed, the service ends with it', async () => {
      const command = `exec ${process.execPath} ${NODE_FLAGS.join(' ')} src/server.ts`;
      const env = { ...process.env, PORT: '0', STORE_URL: 'memory:', WORKERS: '1' };
      const terminal = spawn('script', ['-qec', command, '/dev/null'], { cwd: root, env, stdio: ['pipe', 'pipe', 'ignore'] });
      const LISTENING = /listening at (http:\/\/[\d.:]+)/;
      let output = '';
      terminal.stdout.on('data', (chunk: Buffer) => (output += chunk));
      await expect.poll(() => output, { timeout: 60_000, interval: 20 }).toMatch(LISTENING);
      const [, url] = LISTENING.exec(output)!;
      terminal.kill('SIGKILL');
      await expect.poll(() => fetch(url!).then(() => 'serves', () => 'ended'), { timeout: 20_000, interval: 50 }).toBe('ended');
    });
  });
});

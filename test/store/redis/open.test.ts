// Opening the Redis store: addresses, passwords, TLS, and servers that cannot be used. Every error has one line,
// comes in time, and does not contain the password.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseRedisUrl } from '../../../src/settings/redis-url.ts';
import { openRedisStore } from '../../../src/store/redis/redis.ts';
import { startFaultProxy } from '../../helpers/fault-proxy.ts';
import { freePort } from '../../helpers/process.ts';
import { testLong } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startRedis, startRedisCluster } from '../../helpers/redis.ts';
import { MODEL, changeCurrent, createSessions } from '../hammer.ts';

const TIMEOUT_MS = 1_000;
/** Of a store that can be opened, however busy the machine is. */
const PATIENT_MS = 10_000;
const SECRET = 'p@ss:w/rd-ü';
const SECRET_IN_URL = encodeURIComponent(SECRET);

/** Opens, uses and closes a store. @returns its description, or why it could not be opened */
async function tryOpen(url: string, timeoutMs = TIMEOUT_MS): Promise<string> {
  const startMs = performance.now();
  try {
    const store = await openRedisStore(url, { timeoutMs });
    const [id] = await createSessions(store, 1);
    const record = { head: Buffer.from('x'), slots: new Map() };
    await changeCurrent(store, id!, record);
    const { description } = store;
    await store.close();
    return description;
  } catch (error) {
    const { message, stack, cause } = error as Error;
    expect(performance.now() - startMs).toBeLessThan(timeoutMs + 10_000);
    expect(message).not.toContain('\n');
    for (const text of [message, stack, String(cause), JSON.stringify(error)]) {
      expect(text).not.toContain(SECRET);
      expect(text).not.toContain(SECRET_IN_URL);
    }
    return message;
  }
}

describe('addresses', () => {
  const nothing = { username: undefined, password: undefined, db: 0, tls: undefined };

  test.each([
    ['redis://h', { ...nothing, nodes: [{ host: 'h', port: 6379 }], isCluster: false, text: 'h:6379' }],
    [
      `redis://me:${SECRET_IN_URL}@[::1]:7/3`,
      {
        ...nothing,
        username: 'me',
        password: SECRET,
        nodes: [{ host: '::1', port: 7 }],
        isCluster: false,
        db: 3,
        text: '::1:7',
      },
    ],
    [
      'rediss://a:1?cluster=b:2,c',
      {
        ...nothing,
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
          { host: 'c', port: 6379 },
        ],
        isCluster: true,
        tls: {},
        text: 'a:1, b:2, c:6379',
      },
    ],
    [
      'redis://a?cluster=true',
      { ...nothing, nodes: [{ host: 'a', port: 6379 }], isCluster: true, text: 'a:6379' },
    ],
  ])('%s', (url, address) => {
    expect(parseRedisUrl(url)).toEqual(address);
  });

  test.each([
    ['redis://', /form redis:/],
    [`redis://:${SECRET_IN_URL}@h:99999`, /form redis:/],
    [`redis://:${SECRET_IN_URL}@h h`, /form redis:/],
    [`http://:${SECRET_IN_URL}@h`, /form redis:/],
    [`redis://:${SECRET_IN_URL}@h/name`, /^must have the number of a database/],
    ['redis://me:p#ss@h', /^is not of the form .*percent-encoded/],
    ['redis://me:1#2@h', /^has an @ or a # after its host\. .*percent-encoded, e\.g\. p@ss/],
    ['redis://me:1?2@h', /^has an @ .*percent-encoded/],
    ['redis://me:1/2@h', /^has an @ .*percent-encoded/],
    ['redis://me:100%@h', /^has a % in the user or password .*percent-encoded/],
    ['rediss://h?ca=/no/such.pem', /^names a file by \?ca= that cannot be read: ENOENT/],
    ['redis://h/1?cluster=true', /another database than 0/],
    ['redis://h?clutser=true', /\?clutser=, which is not known/],
    ['redis://h?ca=/x', /must begin with rediss/],
    ['redis://h?cluster=a%20b', /list of host:port/],
  ])('%s is refused', async (url, why) => {
    expect(await tryOpen(url)).toMatch(why);
  });
});

describe('servers that cannot be used', () => {
  test('an address where no server listens is refused', async () => {
    const port = await freePort();
    expect(await tryOpen(`redis://:${SECRET_IN_URL}@127.0.0.1:${port}`)).toBe(
      `Redis at 127.0.0.1:${port} does not answer within ${TIMEOUT_MS} ms: ` +
        `connect ECONNREFUSED 127.0.0.1:${port}`,
    );
    expect(await tryOpen(`redis://127.0.0.1:${port}?cluster=true`)).toMatch(/does not answer within/);
  });

  test.each([
    ['says nothing', undefined, /does not answer within 1000 ms: it is silent/],
    ['is too old', 'redis_version:6.0.16\r\nrole:master\r\n', /version 6.0.16, expected 6.2 or/],
    ['is a replica', 'redis_version:7.2.4\r\nrole:slave\r\n', /is a replica, not the primary/],
  ])('a server is refused that %s', async (_, info, why) => {
    expect(await tryOpen(`redis://127.0.0.1:${await fakeServer(info)}`)).toMatch(why);
  });

  test('a password that the server repeats in its error is masked', async () => {
    const port = await fakeServer('', `-WRONGPASS invalid password ${SECRET}\r\n`);
    expect(await tryOpen(`redis://:${SECRET_IN_URL}@127.0.0.1:${port}`)).toMatch(/refuses: .*\*\*\*/);
  });
});

const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** A server that replies +OK to everything but INFO; without `info` it replies to nothing. */
async function fakeServer(info: string | undefined, toAuth = '+OK\r\n'): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      if (info === undefined) return;
      for (const [, name] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const isInfo = name!.toLowerCase() === 'info';
        const other = name!.toLowerCase() === 'auth' ? toAuth : '+OK\r\n';
        socket.write(isInfo ? `$${info.length}\r\n${info}\r\n` : other);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

describeWith('redis-server', 'servers', () => {
  test('a server with a password is opened with that password only', async () => {
    const server = await startRedis({ requirepass: SECRET });
    const at = `127.0.0.1:${server.port}`;
    expect(await tryOpen(`redis://:${SECRET_IN_URL}@${at}`, PATIENT_MS)).toMatch(/^Redis 7\S+ at 127/);
    expect(await tryOpen(`redis://:${SECRET_IN_URL}x@${at}`, PATIENT_MS)).toMatch(`${at} refuses: WRONGPASS`);
    expect(await tryOpen(`redis://${at}`, PATIENT_MS)).toMatch(`${at} refuses: NOAUTH`);
  });

  test('a server that does not permit INFO and CONFIG is usable, and the description says so', async () => {
    const server = await startRedis();
    await server.admin.acl('SETUSER', 'app', 'on', '>pw', '~carryover:*', '+@all', '-info', '-config');
    const description = await tryOpen(`redis://app:pw@127.0.0.1:${server.port}`, PATIENT_MS);
    expect(description).toMatch(/CONFIG is not permitted.*INFO is not permitted/);
  });

  test.each<[Record<string, string>, RegExp]>([
    [{}, /appendonly is off/],
    [{ appendfsync: 'everysec' }, /may lose the last second/],
    [{ appendfsync: 'no' }, /appendfsync no/],
    [{ appendfsync: 'always' }, /answers survive a crash/],
  ])('the description says which failures answers survive: %o', async (options, what) => {
    const server = await startRedis(options);
    expect(await tryOpen(server.url, PATIENT_MS)).toMatch(what);
  });

  test('another database is another store', async () => {
    const server = await startRedis();
    const [first, second] = await Promise.all(
      ['', '/5'].map((db) => openRedisStore(server.url + db, { timeoutMs: TIMEOUT_MS })),
    );
    await first!.models.put(MODEL);
    expect(await second!.models.ids()).toEqual([]);
    await Promise.all([first!.close(), second!.close()]);
  });

  testLong('a node of a cluster opened as a single server is refused, and the reverse', async () => {
    const [node] = await startRedisCluster();
    expect(await tryOpen(node!.url, PATIENT_MS)).toMatch(/part of a cluster: add \?cluster=true/);
    expect(await tryOpen(`${node!.url}?cluster=127.0.0.1:${node!.port}`, PATIENT_MS)).toMatch(/cluster of 3/);
    const single = await startRedis();
    expect(await tryOpen(`${single.url}?cluster=true`, PATIENT_MS)).toMatch(/cluster support disabled/);
  });

  testLong('a server with TLS is opened if its authority is known', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'carryover-tls-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const ca = makeCertificate(dir);
    const port = await freePort();
    await startRedis({
      'tls-port': String(port),
      'tls-cert-file': join(dir, 'cert.pem'),
      'tls-key-file': join(dir, 'key.pem'),
      'tls-ca-cert-file': ca,
      'tls-auth-clients': 'no',
    });
    expect(await tryOpen(`rediss://127.0.0.1:${port}?ca=${ca}`, PATIENT_MS)).toMatch(/^Redis 7/);
    expect(await tryOpen(`rediss://127.0.0.1:${port}`, PATIENT_MS)).toMatch(/self-signed certificate/);
    expect(await tryOpen(`redis://127.0.0.1:${port}`)).toMatch(/does not answer/);
  });

  test('a database that the server does not have is refused, not replaced by number 0', async () => {
    const server = await startRedis();
    expect(await tryOpen(`${server.url}/99`, PATIENT_MS)).toMatch(/refuses: it has no database 99 .*out of range/);
    expect(await server.admin.dbsize()).toBe(0);
    expect(await tryOpen(`${server.url}/3`, PATIENT_MS)).toMatch(/^Redis/);
    expect(await server.admin.dbsize()).toBe(0);
    await server.admin.select(3);
    expect(await server.admin.dbsize()).toBeGreaterThan(0);
  });

  test('closing completes the calls that were made, and refuses later ones', async () => {
    const server = await startRedis();
    const proxy = await startFaultProxy(server.port);
    const store = await openRedisStore(`redis://127.0.0.1:${proxy.port}`, { timeoutMs: TIMEOUT_MS });
    await store.models.put(MODEL);
    proxy.choose = () => 'delay';
    const record = { head: Buffer.from('x'), slots: new Map() };
    const begun = store.create('x', record, 5, MODEL.id);
    await store.close();
    const revision = await begun;
    await expect(store.change('x', revision!, record)).rejects.toMatchObject({
      code: 'store_unavailable',
      applied: 'no',
    });
    await store.close();
  });
});

/** For 127.0.0.1, signed by itself. */
function makeCertificate(dir: string): string {
  const config = join(dir, 'openssl.cnf');
  writeFileSync(
    config,
    '[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nCN=127.0.0.1\n' +
      '[ext]\nsubjectAltName=IP:127.0.0.1\n',
  );
  const cert = join(dir, 'cert.pem');
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-config', config];
  const { status, stderr } = spawnSync('openssl', [...args, '-keyout', join(dir, 'key.pem'), '-out', cert]);
  expect(status, String(stderr)).toBe(0);
  return cert;
}

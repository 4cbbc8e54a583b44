import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SignJWT, UnsecuredJWT, base64url } from 'jose';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Tokens, type TokensOptions } from '../../src/access/tokens.ts';
import { startIssuer } from '../helpers/access.ts';

const { createServer } = process.getBuiltinModule('node:http');

const issuer = await startIssuer();

function tokensOf(more: Partial<TokensOptions> = {}): Tokens {
  const { issuer: name, audience } = issuer;
  return new Tokens({ issuer: name, audience, jwksUrl: new URL(`${name}/keys`), tenantClaim: 'tenant', ...more });
}

const tokens = tokensOf();
const nowS = () => Math.floor(Date.now() / 1_000);

/** A token with a part in another form. */
function tampered(token: string, change: (parts: string[]) => string[]): string {
  return change(token.split('.')).join('.');
}

test('a token says whose it is, and what it allows', async () => {
  const token = await issuer.token({ tenant: 'weather', scope: 'compute email', scp: ['sessions', 7], sub: 'u-1' });
  const principal = (await tokens.find(token))!;
  expect(principal).toMatchObject({ tenant: 'weather', name: 'sub:u-1' });
  expect([...principal.scopes]).toEqual(['compute', 'sessions']);
  expect(tokens.find(token), 'a second time without a promise').toBe(principal);
});

test('the claim of the tenant has the name that is configured', async () => {
  const token = await issuer.token({ tenant: undefined, org: 'b' });
  expect(await tokens.find(token)).toBeUndefined();
  expect((await tokensOf({ tenantClaim: 'org' }).find(token))!.tenant).toBe('b');
});

describe('refused', () => {
  const claims: [string, Record<string, unknown>][] = [
    ['expired', { exp: nowS() - 60 }],
    ['without a time of expiry', { exp: undefined }],
    ['not valid yet', { nbf: nowS() + 600 }],
    ['of another issuer', { iss: 'http://127.0.0.1:1' }],
    ['for another audience', { aud: 'another' }],
    ['without an audience', { aud: undefined }],
    ['without a tenant', { tenant: undefined }],
    ['with a tenant of another type', { tenant: ['a'] }],
    ['with a tenant that is no name', { tenant: 'a/b' }],
    ['with the tenant of everybody', { tenant: '' }],
  ];
  test.each(claims)('a token %s', async (_, changed) => {
    expect(await tokens.find(await issuer.token(changed))).toBeUndefined();
  });

  test('a token that another key has signed', async () => {
    expect(await tokens.find(await issuer.forgedToken())).toBeUndefined();
  });

  test('a token whose key is not published', async () => {
    expect(await tokens.find(await issuer.token({}, { kid: 'second' }))).toBeUndefined();
  });

  test('a token that is not signed', async () => {
    const unsigned = new UnsecuredJWT({ tenant: 'a' }).setIssuer(issuer.issuer).setAudience('carryover').setExpirationTime('1h');
    expect(await tokens.find(unsigned.encode())).toBeUndefined();
  });

  test('a token that is signed with the public key as a secret', async () => {
    const secret = new TextEncoder().encode(issuer.publicKeyText);
    const claim = { iss: issuer.issuer, aud: 'carryover', tenant: 'a', exp: nowS() + 60 };
    expect(await tokens.find(await new SignJWT(claim).setProtectedHeader({ alg: 'HS256', kid: 'first' }).sign(secret))).toBeUndefined();
  });

  test('the signature of one token under the claims of another', async () => {
    const [mine, theirs] = await Promise.all([issuer.token({ tenant: 'a' }), issuer.token({ tenant: 'b' })]);
    const [, payload] = theirs.split('.');
    expect(await tokens.find(tampered(mine, ([head, , signature]) => [head!, payload!, signature!]))).toBeUndefined();
    const claim = base64url.encode(JSON.stringify({ tenant: 'b', exp: nowS() + 60 }));
    expect(await tokens.find(tampered(mine, ([head, , signature]) => [head!, claim, signature!]))).toBeUndefined();
  });

  test('every part of a token, and texts that are none', async () => {
    const token = await issuer.token();
    for (let length = 0; length < token.length; length += 7) expect(await tokens.find(token.slice(0, length))).toBeUndefined();
    for (const text of ['', '.', '..', 'a.b.c', `${token}.`, `${token}A`, 'null', token.replaceAll('.', ' ')]) {
      expect(await tokens.find(text), text.slice(0, 20)).toBeUndefined();
    }
  });
});

test('a token that was good is refused once it has expired', async () => {
  const token = await issuer.token({ exp: nowS() - 4 });
  const principal = (await tokens.find(token))!;
  expect(principal.isCurrent(), 'within the tolerance for clocks').toBe(true);
  while (principal.isCurrent()) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await tokens.find(token)).toBeUndefined();
});

test('unknown keys do not make it ask the issuer again and again', async () => {
  const own = tokensOf();
  const before = issuer.requests();
  for (let k = 0; k < 50; k++) expect(await own.find(await issuer.token({}, { kid: `k${k}` }))).toBeUndefined();
  expect(issuer.requests() - before).toBeLessThanOrEqual(2);
});

test('an issuer that does not answer makes no token wrong', async () => {
  const closed = tokensOf({ jwksUrl: new URL('http://127.0.0.1:1/keys') });
  await expect(async () => closed.find(await issuer.token())).rejects.toMatchObject({ code: 'access_unavailable' });
});

test('an issuer that answers without end is not read to the end', async () => {
  let sent = 0;
  const server = createServer((_, response) => {
    const chunk = Buffer.alloc(65_536, ' ');
    const more = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length;
    };
    response.on('drain', more);
    more();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const endless = tokensOf({ jwksUrl: new URL(`http://127.0.0.1:${port}/keys`) });
  await expect(async () => endless.find(await issuer.token())).rejects.toMatchObject({ code: 'access_unavailable' });
  expect(sent).toBeLessThan(16 * 2 ** 20);
});

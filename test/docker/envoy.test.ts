// The example of Envoy is read, as Envoy is no package of Debian: its routes choose as those of the shipped nginx do, and its
// numbers agree with the service.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../../src/config.ts';

const text = readFileSync(join(import.meta.dirname, '../../docker/envoy/envoy.yaml'), 'utf8');
// Anchors and aliases, which Envoy takes as well.
const { listeners, clusters } = parse(text).static_resources;
const [{ typed_config: manager }] = listeners[0].filter_chains[0].filters;
const [{ routes }] = manager.route_config.virtual_hosts;
const [cluster] = clusters;
const defaults = readConfig({});
const secondsOf = (duration: string) => Number(/^([\d.]+)s$/.exec(duration)?.[1]);

/** The first route that takes a request, as Envoy looks for it: a regular expression must match the whole path. */
function routeOf(path: string, headers: Record<string, string> = {}): any {
  const [withoutQuery = ''] = path.split('?');
  return routes.find(({ match }: any) => {
    const hasHeaders = (match.headers ?? []).every(({ name }: any) => name in headers);
    const isOfPath = match.prefix === undefined ? new RegExp(`^(?:${match.safe_regex.regex})$`).test(withoutQuery) : path.startsWith(match.prefix);
    return hasHeaders && isOfPath;
  });
}

/** What is hashed to choose a replica; undefined if any is chosen. */
function hashedOf(path: string, headers: Record<string, string> = {}): string | undefined {
  const [{ header }] = routeOf(path, headers).route.hash_policy;
  const value = { ':path': path, ...headers }[header.header_name as string];
  if (value === undefined || !header.regex_rewrite) return value;
  const { pattern, substitution } = header.regex_rewrite;
  return value.replace(new RegExp(pattern.regex), substitution.replaceAll(/\\(\d)/g, '$$$1'));
}

describe("Envoy's example", () => {
  test.each([
    ['/v1/sessions/abc', {}, 'abc'],
    ['/v1/sessions/abc/stream?x=1', {}, 'abc'],
    ['/v1/sessions/abc/rewind', { 'idempotency-key': 'k' }, 'abc'],
    ['/v1/step', { 'x-session-id': 'abc' }, 'abc'],
    ['/v1/step', { 'x-session-id': 'abc', 'idempotency-key': 'k' }, 'abc'],
    ['/v1/step', {}, undefined],
    ['/v1/sessions', {}, undefined],
    ['/v1/sessions', { 'idempotency-key': 'k' }, undefined],
    ['/v1/sessions?limit=3', {}, undefined],
  ])('%s with %o: the replica is chosen by %s', (path, headers, hashed) => {
    expect(hashedOf(path, headers)).toBe(hashed);
  });

  test('only a call with a key is sent again when its connection breaks', () => {
    const retriesOf = (path: string, headers = {}) => routeOf(path, headers).route.retry_policy.retry_on.split(',');
    for (const path of ['/v1/step', '/v1/sessions/abc/rewind']) {
      expect(retriesOf(path)).toEqual(['connect-failure', 'refused-stream']);
      expect(retriesOf(path, { 'idempotency-key': 'k' })).toContain('reset');
    }
  });

  test('streams are not cut off, WebSockets are passed, and all routes lead to the replicas', () => {
    for (const { route } of routes) expect([route.timeout, route.cluster]).toEqual(['0s', cluster.name]);
    expect(manager.upgrade_configs).toEqual([{ upgrade_type: 'websocket' }]);
    expect(secondsOf(manager.stream_idle_timeout)).toBeGreaterThan(25);
  });

  test('connections are closed before the service closes them, and replicas that drain are noticed', () => {
    const [options] = Object.values(cluster.typed_extension_protocol_options) as any[];
    expect(secondsOf(options.common_http_protocol_options.idle_timeout) * 1_000).toBeLessThan(defaults.KEEP_ALIVE_TIMEOUT_MS);
    expect(cluster.lb_policy).toBe('RING_HASH');
    expect(cluster.health_checks[0].http_health_check.path).toBe('/health/ready');
    const [{ lb_endpoints }] = cluster.load_assignment.endpoints;
    expect(lb_endpoints[0].endpoint.address.socket_address.port_value).toBe(defaults.PORT);
  });
});

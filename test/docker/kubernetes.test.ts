// The Deployment in docker/README.md agrees with the service: it is read, not run.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigSchema, readConfig } from '../../src/config.ts';
import { buildApp } from '../helpers/app.ts';

describe('the Deployment for Kubernetes in docker/README.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docker/README.md'), 'utf8');
  const [deployment = ''] = /^ {4}apiVersion: apps\/v1\n(?: {4}.*\n)+/m.exec(page) ?? [];
  const numberAfter = (name: string) => Number(new RegExp(`${name}: '?(\\d+)`).exec(deployment)?.[1]);

  test('one instance at a time has the volume, and its user can write to it', () => {
    expect(deployment).toContain('strategy: { type: Recreate }');
    expect(deployment).toContain('replicas: 1');
    expect(numberAfter('fsGroup')).toBe(numberAfter('runAsUser'));
    expect(deployment).toContain('mountPath: /app/data');
  });

  test('the grace period is longer than the shutdown of the service, and its settings exist', () => {
    const { SHUTDOWN_TIMEOUT_MS } = readConfig({});
    expect(numberAfter('terminationGracePeriodSeconds') * 1000).toBeGreaterThan(SHUTDOWN_TIMEOUT_MS);
    const [, name] = /env: \[\{ name: (\w+)/.exec(deployment)!;
    expect(Object.keys(ConfigSchema.properties)).toContain(name);
    expect(numberAfter('DRAIN_DELAY_MS, value')).toBeLessThan(SHUTDOWN_TIMEOUT_MS);
  });

  test('the probes use paths and a port that the service has', async () => {
    const paths = [...deployment.matchAll(/path: (\S+), port: (\d+)/g)];
    expect(paths).toHaveLength(3);
    const { http } = await buildApp();
    for (const [, path, port] of paths) {
      expect((await http.inject(path!)).statusCode).toBe(200);
      expect(Number(port)).toBe(readConfig({}).PORT);
    }
  });
});

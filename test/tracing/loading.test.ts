// The SDK is loaded only where there is a collector: a start without one does not pay for it.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startOtlpReceiver } from '../helpers/otlp-receiver.ts';
import { startQuickly } from '../helpers/process.ts';

const PRINT = join(import.meta.dirname, '../fixtures/servers/print-modules.mjs');

/** How many modules of OpenTelemetry a service has loaded when it has answered. */
async function loadedModules(env: Record<string, string>): Promise<number> {
  const server = await startQuickly({ NODE_OPTIONS: `--import=${PRINT}`, ...env });
  const response = await fetch(`${server.url}/v1/models`, { headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } });
  expect(response.status).toBe(200);
  await server.stop();
  return server.output().split('\n').filter((line) => line.startsWith('loaded ')).length;
}

test('without an endpoint none of its modules is loaded', async () => {
  expect(await loadedModules({})).toBe(0);
});

test('control: with an endpoint they are, and the name and the headers of the environment are used', async () => {
  const collector = await startOtlpReceiver();
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_SERVICE_NAME: 'forecasts',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,team=a%20b',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=secret%20key',
  };
  expect(await loadedModules(env)).toBeGreaterThan(0);
  // The end of the process has sent them.
  expect(collector.spans.map(({ name }) => name)).toContain('GET /v1/models');
  expect(collector.resource).toMatchObject({
    'service.name': 'forecasts',
    'deployment.environment.name': 'test',
    team: 'a b',
  });
  expect(collector.headers['x-api-key']).toBe('secret key');
});

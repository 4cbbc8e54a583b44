// The address at which a service would listen: free, or that of a service that runs.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Config } from '../../config.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io } from '../io.ts';
import { Service, isUntrusted } from '../service.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const ANSWER_MS_MAX = 3_000;
const LOOPBACK = /^(localhost|127\.|::1$)/;
const ANY = ['0.0.0.0', '::'];

export interface Address {
  readonly finding: Finding;
  /** Whether a service runs there. */
  readonly isServing: boolean;
}

export async function checkAddress(
  { HOST, PORT, TLS_CERT_FILE }: Pick<Config, 'HOST' | 'PORT' | 'TLS_CERT_FILE'>,
  io: Pick<Io, 'fetch' | 'signal'>,
): Promise<Address> {
  const name = 'address';
  const place = placeOf(HOST, PORT);
  const error = await listenError(HOST, PORT);
  if (error === undefined) return { isServing: false, finding: exposure(ok(name, `${place} is free`), HOST) };
  if (error.code !== 'EADDRINUSE') {
    const advice = 'Set HOST to an address of this machine and PORT to one that this user may use.';
    return { isServing: false, finding: fail(name, `${place} cannot be used: ${error.message}`, advice, EXIT.unavailable) };
  }
  const scheme = TLS_CERT_FILE === '' ? 'http' : 'https';
  const ready = await readiness(`${scheme}://${ANY.includes(HOST) ? `127.0.0.1:${PORT}` : place}`, io);
  if (ready === undefined) {
    const advice = 'End the program that listens there, or set PORT to another.';
    return { isServing: false, finding: fail(name, `${place} is in use, by something else`, advice, EXIT.unavailable) };
  }
  const { status, kernel, numerics, reasons = [] } = ready;
  if (status === 'ok') {
    return {
      isServing: true,
      finding: exposure(ok(name, `a service runs at ${place}, ready (${kernel}, numerics ${numerics})`), HOST),
    };
  }
  const found = `a service runs at ${place}, not ready: ${reasons.join('; ')}`;
  return { isServing: true, finding: fail(name, found, 'Its log has the cause.', EXIT.temporary) };
}

/** The port of its own for metrics, if there is one. @param isServing whether a service runs with these settings */
export async function checkMetrics(
  { HOST, METRICS_HOST, METRICS_PORT }: Pick<Config, 'HOST' | 'METRICS_HOST' | 'METRICS_PORT'>,
  isServing: boolean,
): Promise<Finding> {
  const name = 'metrics';
  if (METRICS_PORT === 0) return ok(name, 'none, as there is no METRICS_PORT');
  const host = METRICS_HOST || HOST;
  const place = placeOf(host, METRICS_PORT);
  const error = await listenError(host, METRICS_PORT);
  if (error === undefined) return exposure(ok(name, `${place} is free`), host);
  // Which program listens there, it does not say: metrics have no address beside their own.
  if (error.code === 'EADDRINUSE' && isServing) return exposure(ok(name, `${place}, in use while the service runs`), host);
  const advice = 'Set METRICS_PORT to another port, or METRICS_HOST to an address of this machine.';
  return fail(name, `${place} cannot be used: ${error.message}`, advice, EXIT.unavailable);
}

function placeOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** There is no authentication: only the network restricts who can use the service. */
function exposure(finding: Finding, host: string): Finding {
  if (LOOPBACK.test(host)) return finding;
  return warn(
    finding.name,
    finding.found,
    'It listens beyond this machine, without authentication: restrict access to it, or set HOST=127.0.0.1.',
  );
}

/** Undefined if the address is free, or with PORT 0. */
async function listenError(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer();
  try {
    await once(server.listen({ port, host }), 'listening');
    server.close();
    await once(server, 'close');
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

interface Ready {
  readonly status: string;
  readonly kernel?: string;
  readonly numerics?: number;
  readonly reasons?: readonly string[];
}

/** What a Carryover service says; undefined if it is none. */
async function readiness(url: string, io: Pick<Io, 'fetch' | 'signal'>): Promise<Ready | undefined> {
  try {
    // Without the API key: what listens there may be anything.
    const signal = AbortSignal.any([io.signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
    const { text } = await new Service({ ...io, env: {} }, url).tryCall('/health/ready', { signal });
    const ready = JSON.parse(text) as Partial<Ready>;
    return typeof ready.status === 'string' ? (ready as Ready) : undefined;
  } catch (error) {
    io.signal.throwIfAborted();
    if (!isUntrusted(error)) return undefined;
    return { status: 'unavailable', reasons: ['its certificate is not trusted here (NODE_EXTRA_CA_CERTS)'] };
  }
}

// Calls are computed from the memory of their bodies. When a client disconnects, that memory is reused while a
// worker may still read it: the result must not be committed.
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { Gate } from '../fixtures/workers/gate.ts';
import { sample } from '../helpers/long.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const workerEntry = new URL('../fixtures/workers/gated.ts', import.meta.url);
const [N, D] = [8, 32];
const MODEL = { W_x: Array.from({ length: D }, () => [0.01]), W_h: [[0.5]] };
const JSON_TYPE = 'application/json';
const FILE_TYPE = 'application/octet-stream';
const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 20_000, interval: 2 });
/** Time for a commit that must not follow when the job is done. */
const AFTERWARDS_MS = 100;

/** (N, D) */
const X = Float32Array.from({ length: N * D }, (_, i) => 0.25 + i / 1e6);

function bodyOf(type: string, session: string): Buffer {
  if (type === FILE_TYPE) {
    return Buffer.from(writeSafetensors({ x: { shape: [N, D], data: X } }, { session }));
  }
  const x = Array.from({ length: N }, (_, n) => [...X.subarray(n * D, (n + 1) * D)]);
  return Buffer.from(JSON.stringify({ session, x }));
}

/** Overwrites all free memory, as other requests would. */
function useFreeMemory(memory: LinearMemory): void {
  const blocks = Array.from({ length: 20_000 }, () => memory.allocate(64));
  for (const ptr of blocks) memory.f32(ptr, 16).fill(0.75);
  for (const ptr of blocks) memory.free(ptr);
}

afterEach(() => {
  vi.doUnmock('../../src/lifetime.ts');
  vi.resetModules();
});

/** The state of a session after a call whose client disconnected and whose memory was overwritten. */
async function stateAfterDisconnect(type: string) {
  const { buildApp } = await import('../helpers/app.ts');
  const settings = { WORKERS: '1', JOB_DEADLINE_MS: '20000' };
  const app = await buildApp(settings, { workerEntry, inlineFlopsMax: 0 });
  const { http, memory } = app;
  const gate = new Gate(memory.memory);
  await http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = http.server.address() as AddressInfo;
  const { id } = (await app.post('/v1/sessions', { weights: MODEL, N })).body as { id: string };
  const body = bodyOf(type, id);
  gate.close();
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\n` +
      `content-length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  await until(() => gate.hasBegun);
  const bytesUsed = memory.bytesUsed;
  socket.destroy();
  await until(() => memory.bytesUsed < bytesUsed);
  useFreeMemory(memory);
  gate.open();
  await until(() => gate.isDone);
  await sleep(AFTERWARDS_MS);
  const session = (await http.inject(`/v1/sessions/${id}`)).json();
  return { t: session.t as number, h: (session.h as number[][]).flat() };
}

describe.each(sample([JSON_TYPE, FILE_TYPE], 1))('a session whose client disconnects during a call in %s', (type) => {
  test('the session stays as it was', async () => {
    expect(await stateAfterDisconnect(type)).toEqual({ t: 0, h: Array(N).fill(0) });
  });

  test('control: if the disconnect goes unnoticed, the overwritten numbers are committed', async () => {
    vi.doMock('../../src/lifetime.ts', async (original) => {
      const { Lifetime } = await original<typeof import('../../src/lifetime.ts')>();
      class Unnoticed extends Lifetime {
        override close(): void {}
      }
      return { Lifetime: Unnoticed };
    });
    const { t, h } = await stateAfterDisconnect(type);
    expect(t).toBe(1);
    const right = Math.tanh(X.subarray(0, D).reduce((sum, x) => sum + x * 0.01, 0));
    expect(Math.abs(h[0]! - right)).toBeGreaterThan(0.01);
  });
});

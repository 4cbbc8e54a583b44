// The thread that reads model files: whatever it does with a file, the caller gets layers or an error, and others go on.
import { describe, expect, test } from 'vitest';
import { Lifetime } from '../../src/lifetime.ts';
import { importInThread } from '../../src/models/import-thread/import-thread.ts';
/** What fixtures/import-threads/faulty.ts does for the first byte of a file. */
const FAULTS = { loops: 0, fillsHeap: 1, throws: 2, exits: 3, replies: 4 };
const entry = new URL('../fixtures/import-threads/faulty.ts', import.meta.url);
const run = (fault: number, lifetime?: Lifetime, number = 0) =>
  importInThread({ format: 'onnx', bytes: Uint8Array.of(fault, number) }, lifetime, entry);

describe('an import thread', () => {
  test('that never ends is terminated when the request is over', async () => {
    using lifetime = new Lifetime({}, 300);
    await expect(run(FAULTS.loops, lifetime)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await expect(run(FAULTS.replies)).resolves.toMatchObject({ layers: [] });
  });

  test('whose client has left is terminated', async () => {
    const lifetime = new Lifetime({}, 60_000);
    const reading = run(FAULTS.loops, lifetime);
    setTimeout(() => lifetime.close(), 100);
    await expect(reading).rejects.toMatchObject({ code: 'client_closed' });
  });

  test('that fills its heap refuses the file, and the process goes on', async () => {
    await expect(run(FAULTS.fillsHeap)).rejects.toMatchObject({
      code: 'model_file_unsupported',
      message: expect.stringContaining('more than 256 MiB of memory'),
    });
  });

  test('that fails is a fault of the server', async () => {
    await expect(run(FAULTS.throws)).rejects.toThrow(TypeError);
    await expect(run(FAULTS.exits)).rejects.toThrow('ended without a reply');
  });

  test('reads one file at a time, in the order of their arrival; who gives up while waiting delays nobody', async () => {
    const order: string[] = [];
    const seen = (name: string) => () => order.push(name);
    using short = new Lifetime({}, 500);
    const endless = run(FAULTS.loops, short).catch(seen('endless'));
    const leaving = new Lifetime({}, 60_000);
    const second = run(FAULTS.replies, leaving).catch(seen('left'));
    const third = run(FAULTS.replies, undefined, 3).then(seen('third'));
    const fourth = run(FAULTS.replies, undefined, 4).then(seen('fourth'));
    leaving.close();
    await Promise.all([endless, second, third, fourth]);
    expect(order).toEqual(['left', 'endless', 'third', 'fourth']);
  });
});

// The registry and the store have the same models, also after failures and changes of other processes.
import { beforeEach, describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { type Layer, tanhLayers } from '../../src/layers.ts';
import { modelId } from '../../src/models/model-id.ts';
import { ModelLibrary } from '../../src/models/library.ts';
import { ModelRegistry } from '../../src/models/registry.ts';
import { writeStoredFile } from '../../src/models/stored-file.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { ModelStore } from '../../src/store/store.ts';
import type { Readout } from '../../src/tensor.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';

const layersOf = (value: number, readout?: Readout): Layer[] =>
  tanhLayers(
    { D: 1, H: 2, W_x: Float32Array.of(value, 2), W_h: Float32Array.of(3, 4, 5, 6), b: Float32Array.of(7, 8) },
    readout,
  );
const READOUT: Readout = { O: 1, W_y: Float32Array.of(1, -1), b_y: Float32Array.of(0.5) };

let memory: LinearMemory;
let store: ModelStore;
let library: ModelLibrary;

/** The library of another process with the same store. */
const another = (models: ModelStore = store) =>
  new ModelLibrary(
    new ModelRegistry(memory, { bytesMax: 1e6, countMax: 10, now: () => new Date(1_000) }),
    models,
  );

beforeEach(() => {
  memory = new LinearMemory(16 * 1024 * 1024);
  store = new MemoryStore(1e9).models;
  library = another();
});

/** The store with some of its methods replaced. */
const withFaults = (faults: Partial<ModelStore>): ModelStore =>
  new Proxy(store, {
    get: (target, name) => {
      const value = faults[name as keyof ModelStore] ?? target[name as keyof ModelStore];
      return (value as (...args: unknown[]) => unknown).bind(target);
    },
  });

const skipNone = (id: string, error: unknown) => {
  throw new Error(`${id} was skipped`, { cause: error });
};

describe('registration', () => {
  test('registration puts the model into the store, where another process finds it complete', async () => {
    const { info } = await library.register(layersOf(1, READOUT), { name: 'name' });
    const other = another();
    await other.refresh(skipNone);
    expect(other.registry.info('name')).toEqual(info);
    expect(info).toMatchObject({ id: modelId(layersOf(1, READOUT)), O: 1, names: ['name'] });
  });

  test.each(['put', 'point'] as const)('registration leaves nothing in the registry when %s fails', async (step) => {
    const failing = another(
      withFaults({
        [step]: async () => {
          throw new CarryoverError('store_full', { detail: 'full' });
        },
      }),
    );
    const used = memory.bytesUsed;
    await expect(failing.register(layersOf(1), { name: 'name' })).rejects.toMatchObject({
      code: 'store_full',
    });
    expect(failing.registry.list().models).toEqual([]);
    expect(failing.registry.has('name')).toBe(false);
    expect(memory.bytesUsed).toBe(used);
  });

  test('registration of a second name keeps the model, and removes that name again if it fails', async () => {
    const { info } = await library.register(layersOf(1), { name: 'first' });
    const failing = another(
      withFaults({
        point: async () => {
          throw new CarryoverError('store_unavailable', { detail: 'away' });
        },
      }),
    );
    await failing.ensure('first');
    await expect(failing.register(layersOf(1), { name: 'second' })).rejects.toThrow('away');
    expect(failing.registry.info(info.id).names).toEqual(['first']);
  });
});

describe('changes of another process', () => {
  test('a model of another process is loaded when it is asked for, by id or by name', async () => {
    const other = another();
    const { info } = await other.register(layersOf(1), { name: 'name' });
    await library.ensure(info.id);
    expect(library.registry.has(info.id)).toBe(true);
    expect(library.registry.has('name')).toBe(false);
    await library.ensure('name');
    expect(library.registry.info('name').id).toBe(info.id);
    await library.ensure('nobody');
    expect(library.registry.has('nobody')).toBe(false);
  });

  test('a refresh follows another process: new, renamed and removed models', async () => {
    let revision = 0;
    library = another(withFaults({ revision: async () => revision }));
    const other = another();
    const { info: kept } = await other.register(layersOf(1), { name: 'moving' });
    const { info: removed } = await other.register(layersOf(2), { name: 'removed' });
    await library.refresh(skipNone);
    expect(library.registry.list().models.map(({ id }) => id)).toEqual([kept.id, removed.id]);

    const { info: added } = await other.register(layersOf(3));
    await other.point('moving', added.id);
    await other.delete(removed.id);
    await library.refresh(skipNone);
    expect(library.registry.info('moving').id).toBe(kept.id);
    revision = 1;
    await library.refresh(skipNone);
    expect(library.registry.info('moving').id).toBe(added.id);
    expect(library.registry.has(removed.id)).toBe(false);
    expect(library.registry.has('removed')).toBe(false);
  });

  test('a damaged model of another process is ignored; the others are loaded', async () => {
    const file = Buffer.from(await writeStoredFile(layersOf(1)));
    file[file.length - 1]! ^= 1;
    const id = modelId(layersOf(1));
    await store.put({ id, file, createdAtMs: 0, isKept: true });
    await store.put({ id: 'sha256:short', file: Buffer.from('?'), createdAtMs: 0, isKept: true });
    const { info } = await another().register(layersOf(2));
    const skipped: string[] = [];
    await library.refresh((skippedId) => skipped.push(skippedId));
    expect(skipped).toEqual([id, 'sha256:short']);
    expect(library.registry.list().models.map((model) => model.id)).toEqual([info.id]);
  });
});

test('a model that sessions use stays, in the registry and in the store', async () => {
  const sessions = new MemoryStore(1e9);
  library = another(sessions.models);
  const { info } = await library.register(layersOf(1), { name: 'name' });
  const record = { head: new Uint8Array(), slots: new Map() };
  const revision = await sessions.create('session', record, 0, info.id);
  await expect(library.delete('name')).rejects.toMatchObject({ code: 'model_pinned' });
  expect(library.registry.has('name')).toBe(true);
  await sessions.writeTombstone('session', revision!, new Uint8Array(), 0);
  await library.delete('name');
  expect([library.registry.has(info.id), await sessions.models.ids()]).toEqual([false, []]);
});

describe('a refresh beside changes of this process', () => {
  /** A store whose names and ids are read at once and answered when `open` is called. */
  function slowly(names: () => Promise<Map<string, string>>, ids: () => Promise<string[]> = () => store.ids()) {
    let revision = 0;
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const after = async <Value>(value: Promise<Value>) => {
      const read = await value;
      await gate;
      return read;
    };
    const models = withFaults({
      names: () => after(names()),
      ids: () => after(ids()),
      // As if another process had changed something each time.
      revision: async () => ++revision,
    });
    return { models, open };
  }

  test('a refresh does not point a name back that was pointed to another model meanwhile', async () => {
    const { models, open } = slowly(() => store.names());
    const here = another(models);
    const { info: old } = await here.register(layersOf(1), { name: 'name' });
    const { info: next } = await here.register(layersOf(2));
    const refreshed = here.refresh(skipNone);
    await new Promise(setImmediate);
    await here.point('name', next.id);
    open();
    await refreshed;
    expect(here.registry.info('name').id).toBe(next.id);
    await here.refresh(skipNone);
    expect(here.registry.info('name').id).toBe(next.id);
    expect(here.registry.info(old.id).names).toEqual([]);
  });

  test('a refresh drops no model that is being registered', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let revision = 0;
    const models = withFaults({
      put: async (model) => {
        await gate;
        return store.put(model);
      },
      revision: async () => ++revision,
    });
    const here = another(models);
    const registered = here.register(layersOf(1), { name: 'name' });
    await here.refresh(skipNone);
    open();
    const { info } = await registered;
    expect(here.registry.info('name')).toEqual(info);
  });
});

// The HDF5 library in WebAssembly (h5wasm), guarded: a damaged file may make it read beyond its memory, or ask for more
// and more of it. Its memory is apart from all other, so it harms nothing else; here it gets a bound, and an instance
// that has failed is never used again.
//
// Its file system is in memory, too: a file that refers to another one finds none.
import type * as H5wasm from 'h5wasm';

const PAGE_BYTES = 65_536;

/** An instance of the library. */
export class Hdf5Library {
  readonly module: typeof H5wasm.Module;
  #memoryBytesMax = Infinity;

  constructor(module: typeof H5wasm.Module) {
    this.module = module;
    // Errors of the library as exceptions; else it prints them.
    module.activate_throwing_error_handler();
    const memory = memoryOf(this);
    memory.grow = (pages) => {
      const bytes = memory.buffer.byteLength + pages * PAGE_BYTES;
      // Its allocation fails then, which is an error like any other.
      if (bytes > this.#memoryBytesMax) throw new RangeError(`no more than ${this.#memoryBytesMax} bytes are allowed`);
      return WebAssembly.Memory.prototype.grow.call(memory, pages);
    };
  }

  /** Of all that it has from now on; it gives nothing back. */
  set memoryBytesMax(bytes: number) {
    this.#memoryBytesMax = bytes;
  }

  /** @returns 0 if its memory may not grow so far */
  allocate(bytes: number): number {
    // oxlint-disable-next-line eslint/no-underscore-dangle -- the library calls it so
    return this.module._malloc(bytes);
  }

  free(pointer: number): void {
    // oxlint-disable-next-line eslint/no-underscore-dangle -- the library calls it so
    this.module._free(pointer);
  }
}

/** The library does not export its memory, which is seen when it is to grow. */
function memoryOf(library: Hdf5Library): WebAssembly.Memory {
  const { prototype } = WebAssembly.Memory;
  const original = Object.getOwnPropertyDescriptor(prototype, 'grow')!;
  const seen: WebAssembly.Memory[] = [];
  Object.defineProperty(prototype, 'grow', {
    ...original,
    value(this: WebAssembly.Memory) {
      seen.push(this);
      throw new RangeError('not now');
    },
  });
  try {
    library.allocate(library.module.HEAPU8.length);
  } finally {
    Object.defineProperty(prototype, 'grow', original);
  }
  const [memory] = seen;
  if (!memory) throw new Error('the memory of the HDF5 library was not found');
  return memory;
}

let instance: Promise<Hdf5Library> | undefined;
let instances = 0;

/** The instance of this thread. */
export function loadLibrary(): Promise<Hdf5Library> {
  instance ??= newLibrary();
  return instance;
}

/** The next file gets another instance. */
export function discardLibrary(): void {
  instance = undefined;
}

async function newLibrary(): Promise<Hdf5Library> {
  const { ready } = await loadModule(instances++);
  return new Hdf5Library(await ready);
}

/** A module has one instance: another one needs another address. */
function loadModule(number: number): Promise<typeof H5wasm> {
  if (number === 0) return import('h5wasm');
  return import(`${import.meta.resolve('h5wasm')}?${number}`) as Promise<typeof H5wasm>;
}

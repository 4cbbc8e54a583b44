// An HDF5 file: groups, datasets and attributes by their paths. Only what is asked for by its path is read, so that a
// cycle of groups is no endless tree; links to other places are refused, and sizes are compared with bounds before
// anything is allocated.
//
// https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
import { randomUUID } from 'node:crypto';
import { quote } from '../safetensors/quote.ts';
import type { SafeTensor } from '../safetensors/read.ts';
import { type HalfDtype, readDataset } from './dataset.ts';
import { attempt, malformed, notRead } from './errors.ts';
import { expectWholeHeaps } from './global-heap.ts';
import { type Hdf5Library, discardLibrary, loadLibrary } from './library.ts';
import { readTexts } from './texts.ts';

/** What the library takes besides the tensors. */
const MEMORY_BYTES = 32 * 2 ** 20;
/** Of the format. */
const ANY_VERSION = -1;
const PATH_CHARACTERS_MAX = 1_024;
/** The library goes along the whole path for each of its parts. */
const PATH_PARTS_MAX = 32;
const NAMES_MAX = 4_096;
/** Of the texts of one attribute, and how many they may be. */
const TEXT_BYTES_MAX = 16 * 2 ** 20;
const TEXTS_MAX = 65_536;

type Kind = 'group' | 'dataset';

export class Hdf5File {
  readonly #library: Hdf5Library;
  readonly #name: string;
  readonly #id: bigint;
  #bytesLeft: number;
  /** By the paths that were asked for. */
  readonly #kinds = new Map<string, Kind | undefined>([['', 'group']]);

  constructor(library: Hdf5Library, name: string, id: bigint, bytesMax: number) {
    this.#library = library;
    this.#name = name;
    this.#id = id;
    this.#bytesLeft = bytesMax;
  }

  /**
   * @param bytesMax of all tensors that are read of it
   * @throws malformed_model_file
   */
  static async open(bytes: Uint8Array, bytesMax: number): Promise<Hdf5File> {
    expectWholeHeaps(bytes);
    const library = await loadLibrary();
    const { module } = library;
    library.memoryBytesMax = MEMORY_BYTES + bytesMax;
    // A name that no file can refer to.
    const name = `/${randomUUID()}.h5`;
    module.FS.writeFile(name, bytes);
    const id = attempt('cannot be opened', () => module.open(name, module.H5F_ACC_RDONLY, false, ANY_VERSION, ANY_VERSION));
    return new Hdf5File(library, name, id, bytesMax);
  }

  [Symbol.dispose](): void {
    const { module } = this.#library;
    try {
      module.close_file(this.#id);
      module.FS.unlink(this.#name);
    } catch {
      discardLibrary();
    }
  }

  /**
   * What is at a path, e.g. `layers/lstm`; undefined if nothing is.
   *
   * @throws malformed_model_file · model_file_unsupported if a part of the path is a link to another place
   */
  kindOf(path: string): Kind | undefined {
    if (this.#kinds.has(path)) return this.#kinds.get(path);
    const isPath = path.length <= PATH_CHARACTERS_MAX && !path.includes('\0') && path.split('/').length <= PATH_PARTS_MAX;
    if (!isPath) throw malformed(`has no path ${quote(path)}: expected at most ${PATH_CHARACTERS_MAX} characters in ${PATH_PARTS_MAX} parts`);
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    const kind = this.kindOf(parent) === 'group' ? this.#kindOfLink(path) : undefined;
    this.#kinds.set(path, kind);
    return kind;
  }

  #kindOfLink(path: string): Kind | undefined {
    const { module } = this.#library;
    return attempt(`has something at ${quote(path)} that cannot be read`, () => {
      const type = module.get_type(this.#id, `/${path}`);
      if (type < 0) return undefined;
      // Of a link, the type is that of its target if there is one.
      const isSoft = module.get_symbolic_link(this.#id, `/${path}`) !== null;
      const isExternal = module.get_external_link(this.#id, `/${path}`).filename !== undefined;
      if (isSoft || isExternal || type === module.H5G_LINK || type === module.H5G_UDLINK) {
        throw notRead(`has a link to another place at ${quote(path)}, expected what it refers to`);
      }
      return type === module.H5G_GROUP ? 'group' : type === module.H5G_DATASET ? 'dataset' : undefined;
    });
  }

  /** The names of what is in a group. @throws malformed_model_file · model_file_unsupported */
  namesIn(path: string): readonly string[] {
    const { module } = this.#library;
    if (this.kindOf(path) !== 'group') return [];
    const names = attempt(`has a group ${quote(path)} that cannot be read`, () =>
      module.get_names(this.#id, `/${path}`, false),
    );
    if (names.length > NAMES_MAX) throw notRead(`has ${names.length} members in the group ${quote(path)}, expected at most ${NAMES_MAX}`);
    return names;
  }

  /**
   * An attribute of a group: a text, or several; undefined if there is none.
   *
   * @throws malformed_model_file · model_file_unsupported if it is no text
   */
  texts(path: string, name: string): readonly string[] | undefined {
    if (this.kindOf(path) === undefined) return undefined;
    const { module } = this.#library;
    const at = `/${path}`;
    const title = `the attribute ${quote(name)} of ${quote(at)}`;
    return attempt(`has ${title}, which cannot be read`, () => {
      if (!module.get_attribute_names(this.#id, at).includes(name)) return undefined;
      const { type, size, total_size } = module.get_attribute_metadata(this.#id, at, name);
      if (type !== module.H5T_class_t.H5T_STRING.value) throw notRead(`has ${title} that is no text`);
      if (total_size > TEXTS_MAX || total_size * size > TEXT_BYTES_MAX) {
        throw notRead(`has ${title} of ${total_size} texts of ${size} bytes, expected at most ${TEXT_BYTES_MAX} bytes`);
      }
      return readTexts(this.#library, this.#id, at, name);
    });
  }

  /**
   * A copy of a dataset of real numbers.
   *
   * @param half the type of numbers of two bytes
   * @throws malformed_model_file · model_file_unsupported
   */
  tensor(path: string, half: HalfDtype): SafeTensor {
    if (this.kindOf(path) !== 'dataset') throw malformed(`lacks the dataset ${quote(path)}`);
    const tensor = readDataset(this.#library, this.#id, `/${path}`, half, this.#bytesLeft);
    this.#bytesLeft -= tensor.data.byteLength;
    return tensor;
  }
}

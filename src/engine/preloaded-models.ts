// The models that a server registers by itself: those of MODELS_DIR under the names of their files, and
// one of the built-in models. They are registered at the start, and again when the store has lost them (FLUSHALL, an
// older snapshot). A model of MODELS_DIR that was deleted through the API stays deleted until the next start.
import { BUILT_IN_MODELS, type ModelFile } from '../models/models-dir.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { Import } from '../models/import/checkpoint.ts';
import { importFile } from '../models/import-file.ts';
import { NAME_PATTERN } from '../models/model-names.ts';
import type { ModelInfo } from '../models/model-info.ts';
import { registerModel } from './register.ts';
import type { Limits } from './shapes.ts';

/** It cannot be deleted: where it is missing, the store has lost models. */
const SENTINEL = BUILT_IN_MODELS.sunspots;

export interface PreloadedModelsParts {
  readonly library: ModelLibrary;
  readonly limits: Limits;
  readonly onLoaded: (name: string, info: ModelInfo, file: Pick<Import, 'tensors' | 'notes'>) => void;
  /** A file that cannot be used is skipped: the others are served. */
  readonly onSkipped: (file: ModelFile, error: unknown) => void;
}

export class PreloadedModels {
  readonly #parts: PreloadedModelsParts;
  #loaded: ModelFile[] = [];
  /** Those of the loaded ones that the store has lost, and that are still to be registered again. */
  #lost: ModelFile[] = [];

  constructor(parts: PreloadedModelsParts) {
    this.#parts = parts;
  }

  /** Registers SENTINEL and the models of `files`. */
  async load(files: readonly ModelFile[]): Promise<void> {
    for (const file of [SENTINEL, ...files]) {
      if (await this.#register(file)) this.#loaded.push(file);
    }
  }

  /**
   * Registers again what the store has lost. To be called when the library has been refreshed.
   *
   * @param hasLost whether the store is known to have lost anything. It has in any case if SENTINEL is missing
   */
  async restore(hasLost: boolean): Promise<void> {
    const { registry } = this.#parts.library;
    const isMissing = ({ name }: ModelFile) => !registry.has(name);
    if (hasLost || isMissing(SENTINEL)) this.#lost = this.#loaded;
    const left: ModelFile[] = [];
    for (const file of this.#lost.filter(isMissing)) {
      if (!(await this.#register(file))) left.push(file);
    }
    this.#lost = left;
  }

  /** The reasons why this process is not ready, for /health/ready. */
  problems(): readonly string[] {
    const names = this.#lost.map(({ name }) => name).join(', ');
    return names === '' ? [] : [`the store has lost these models: ${names}`];
  }

  async #register(file: ModelFile): Promise<boolean> {
    const { library, limits, onLoaded, onSkipped } = this.#parts;
    const { name, read } = file;
    try {
      if (!new RegExp(NAME_PATTERN).test(name)) throw notAName(name);
      const source = await importFile(read());
      const { info } = await registerModel({ library, limits }, source);
      // The name points to the model of the file from now on, whatever it pointed to before.
      if (file === SENTINEL) await library.reserve(name, info.id);
      else {
        await library.point(name, info.id);
        library.registry.publish(name);
      }
      onLoaded(name, info, source);
      return true;
    } catch (error) {
      onSkipped(file, error);
      return false;
    }
  }
}

function notAName(name: string): Error {
  return new Error(
    `The file's name without its ending, ${JSON.stringify(name)}, is to be the model's name: expected ` +
      'letters, digits, dot, dash and underscore, at most 128, a letter or a digit first. Rename the file.',
  );
}

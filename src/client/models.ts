// Models of the service: registered, listed, named and deleted.
import { parseJson } from './json.ts';
import { type ModelDescription, modelBody } from './model-body.ts';
import { pages } from './pages.ts';
import { CarryoverError, unreadable } from './problem.ts';
import { JSON_TYPE, type Answer, type Body, type Transport } from './transport.ts';
import type { ModelInfo } from './types.ts';

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ImportOptions extends CallOptions {
  readonly name?: string;
  /** What the names in the file do not tell: the layers in their order, in JSON or as its value. */
  readonly layers?: string | readonly object[];
  /** Confirms the activation of recurrent layers. */
  readonly activation?: 'tanh' | 'relu';
  /** The name of the layer that computes y from h. */
  readonly readout?: string;
}

export class Models {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Registers a model. The same weights have the same id, so it may be registered again. @throws CarryoverError */
  async register(model: ModelDescription, { name, signal }: CallOptions & { readonly name?: string } = {}): Promise<ModelInfo> {
    return this.#post(modelBody(model), { name }, signal);
  }

  /** Registers a model file: safetensors, torch, ONNX, Keras. @throws CarryoverError */
  async import(
    file: Blob | ArrayBuffer | Uint8Array<ArrayBuffer>,
    { name, layers, activation, readout, signal }: ImportOptions = {},
  ): Promise<ModelInfo> {
    const data = file instanceof ArrayBuffer ? new Uint8Array(file) : file;
    const description = layers === undefined || typeof layers === 'string' ? layers : JSON.stringify(layers);
    const query = { name, layers: description, activation, readout };
    return this.#post({ type: 'application/octet-stream', data }, query, signal);
  }

  /** All models, the oldest first. */
  list({ signal }: CallOptions = {}): AsyncIterable<ModelInfo> {
    return pages<ModelInfo>(this.#transport, 'v1/models', 'models', {}, signal);
  }

  /** @param ref a name or an id @throws CarryoverError */
  async get(ref: string, { signal }: CallOptions = {}): Promise<ModelInfo> {
    return infoOf(await this.#transport.send({ method: 'GET', path: pathOf(ref), signal }));
  }

  /** Lets a name, new or not, point to a model. @throws CarryoverError */
  async point(name: string, ref: string, { signal }: CallOptions = {}): Promise<ModelInfo> {
    const body = { type: JSON_TYPE, data: JSON.stringify({ model: ref }) };
    return infoOf(await this.#transport.send({ method: 'PUT', path: pathOf(name), body, signal }));
  }

  /** Deletes a model with all its names. @throws CarryoverError */
  async delete(ref: string, { signal }: CallOptions = {}): Promise<void> {
    try {
      await this.#transport.send({ method: 'DELETE', path: pathOf(ref), signal });
    } catch (error) {
      // An earlier attempt, whose answer was lost, has deleted it.
      const isDeleted = error instanceof CarryoverError && error.code === 'model_not_found' && error.attempts > 1;
      if (!isDeleted) throw error;
    }
  }

  async #post(body: Body, query: Readonly<Record<string, string | undefined>>, signal: AbortSignal | undefined): Promise<ModelInfo> {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const path = `v1/models${given.length > 0 ? `?${new URLSearchParams(given)}` : ''}`;
    return infoOf(await this.#transport.send({ method: 'POST', path, body, signal }));
  }
}

function pathOf(ref: string): string {
  return `v1/models/${encodeURIComponent(ref)}`;
}

function infoOf({ bytes }: Answer): ModelInfo {
  const info = parseJson(bytes) as ModelInfo | null;
  if (typeof info?.id !== 'string') throw unreadable('an answer without the id of a model');
  return info;
}

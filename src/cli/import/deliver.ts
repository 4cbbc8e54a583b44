// Where an imported model goes: to a service, as the file that was read, or into a safetensors file.
import type { Layer } from '../../layers.ts';
import type { ImportOptions } from '../../models/import/checkpoint.ts';
import { writeStoredFile } from '../../models/stored-file.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { writeOutput } from '../files.ts';
import type { ModelInfo } from '../models.ts';
import type { Service } from '../service.ts';

/** What the answer to a registration says. */
export type Registered = ModelInfo & { readonly tensors?: Readonly<Record<string, string>> };

/** @param id that the model must get · @throws CliError as Service.call(), or if the service computes another id */
export async function register(
  service: Service,
  bytes: Uint8Array<ArrayBuffer>,
  query: ImportOptions & { readonly name?: string | undefined },
  id: string,
): Promise<Registered> {
  const { name, activation, readout, layers } = query;
  const call = { method: 'POST', body: bytes, query: { name, activation, readout, layers } } as const;
  const registered = await service.json<Registered>('/v1/models', call);
  if (registered.id === id) return registered;
  throw new CliError(
    EXIT.software,
    `The service at ${service.url.origin} registered the file as ${registered.id}, and this command reads it as ${id}: they ` +
      'are of different versions. Use the command of the version that runs.',
  );
}

/** A file with the tensor names of this API and the description of the layers; importing it gives the same id. */
export async function writeModel(path: string, layers: readonly Layer[], replaces: boolean): Promise<number> {
  const bytes = await writeStoredFile(layers);
  await writeOutput(path, bytes, replaces);
  return bytes.length;
}

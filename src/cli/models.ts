// carryover models: the registered models of a service.
import type { Command } from 'commander';
import type { Io } from './io.ts';
import { print, printJson } from './io.ts';
import { withExamples, withService } from './options.ts';
import { eachPage } from './pages.ts';
import { Service } from './service.ts';
import { formatCount, formatTable } from './table.ts';

/** As `GET /v1/models/{ref}` has it, as far as it is shown. */
export interface ModelInfo {
  readonly id: string;
  readonly names: readonly string[];
  readonly D: number;
  readonly H: number;
  readonly O?: number;
  /** Absent of one tanh layer. */
  readonly layers?: readonly ({ readonly type: string } & Readonly<Record<string, unknown>>)[];
  readonly bytes: number;
  readonly created_at: string;
}

interface ServiceOptions {
  readonly url: string;
  readonly json?: boolean;
}

export function modelsCommand(program: Command, io: Io): void {
  const models = program.command('models').description('List, show, name and delete the models of a service.');
  withExamples(models, ['models', 'models show austen', 'models name old first', 'models delete first']);
  withService(models.command('list', { isDefault: true }), io)
    .description('List all models, oldest first.')
    .action((options: ServiceOptions) => list(options, io));
  withService(models.command('show <ref>'), io)
    .description('Show a model. REF is its name or its id.')
    .action((ref: string, options: ServiceOptions) => show(ref, options, io));
  withService(models.command('name <name> <ref>'), io)
    .description('Let NAME, new or not, point to the model REF.')
    .action((name: string, ref: string, options: ServiceOptions) => point(name, ref, options, io));
  withService(models.command('delete <ref>'), io)
    .description('Delete a model with all its names.')
    .action((ref: string, options: ServiceOptions) => remove(ref, options, io));
}

async function list({ url, json }: ServiceOptions, io: Io): Promise<void> {
  const models = await eachPage<ModelInfo>(new Service(io, url), '/v1/models', 'models');
  if (json) return printJson(io, models);
  const rows = models.map((model) => [
    model.names.join(', ') || '-',
    `${model.id.slice(0, 'sha256:'.length + 12)}…`,
    describeLayers(model),
    sizesOf(model),
    formatCount(model.bytes),
  ]);
  await print(
    io,
    formatTable([['name', 'id', 'layers', 'sizes', 'bytes'], ...rows], (column) => (column < 4 ? 'left' : 'right')),
  );
}

async function show(ref: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  const model = await new Service(io, url).json<ModelInfo>(`/v1/models/${encodeURIComponent(ref)}`);
  if (json) return printJson(io, model);
  await print(io, describeModel(model));
}

async function point(name: string, ref: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  const path = `/v1/models/${encodeURIComponent(name)}`;
  const model = await new Service(io, url).json<ModelInfo>(path, { method: 'PUT', body: { model: ref } });
  if (json) return printJson(io, model);
  await print(io, `${name} is ${model.id}`);
}

async function remove(ref: string, { url, json }: ServiceOptions, io: Io): Promise<void> {
  await new Service(io, url).call(`/v1/models/${encodeURIComponent(ref)}`, { method: 'DELETE' });
  if (json) return printJson(io, { deleted: ref });
  await print(io, `${ref} is deleted`);
}

/** Lines of a name and a value. */
export function describeModel(model: ModelInfo): string {
  return formatTable(
    [
      ['id', model.id],
      ['names', model.names.join(', ') || '-'],
      ['layers', describeLayers(model)],
      ['sizes', sizesOf(model)],
      ['bytes', `${formatCount(model.bytes)} in memory`],
      ['created', model.created_at],
    ],
    () => 'left',
  );
}

function describeLayers({ layers, O }: ModelInfo): string {
  const types = layers?.map(({ type }) => type) ?? ['rnn', ...(O === undefined ? [] : ['dense'])];
  return types.join(' → ');
}

function sizesOf({ D, H, O }: ModelInfo): string {
  return `D=${D} H=${H}${O === undefined ? '' : ` O=${O}`}`;
}

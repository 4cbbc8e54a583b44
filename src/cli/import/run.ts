// What `carryover import` does: shows what a model file has, checks that it is computed rightly, and registers it.
import { type Layer, isRecurrent } from '../../layers.ts';
import { checkModel } from '../check/check-model.ts';
import { formatCheck } from '../check/report.ts';
import { EXIT } from '../exit-codes.ts';
import { readInput } from '../files.ts';
import { type Io, note, print, printJson } from '../io.ts';
import { describeModel } from '../models.ts';
import { Service } from '../service.ts';
import { formatCount } from '../table.ts';
import { type Registered, register, writeModel } from './deliver.ts';
import { formatLayers, layerRows, totalOf } from './layer-table.ts';
import { readModel } from './read-model.ts';
import { selfCheck } from './self-check.ts';

export interface ImportCommandOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly name?: string;
  readonly activation?: string;
  readonly readout?: string;
  readonly layers?: string;
  readonly output?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly check?: string;
  readonly layout: 'TND' | 'NTD';
  readonly tolerance?: number;
}

type Say = (text: string) => Promise<void>;

/** @param isUrlGiven whether --url is on the command line, and not a default */
export async function importModel(file: string, options: ImportCommandOptions, isUrlGiven: boolean, io: Io): Promise<void> {
  if (io.stdout.isTTY) return importAndSay(file, options, isUrlGiven, io, (text) => print(io, text));
  // All at its end: a reader that takes the first lines alone ends neither the comparison nor the registration.
  const said: string[] = [];
  try {
    await importAndSay(file, options, isUrlGiven, io, async (text) => void said.push(text));
  } finally {
    if (said.length > 0) await print(io, said.join('\n'));
  }
}

/** @param sayText takes a part of the text, unless --json asks for one value */
async function importAndSay(
  file: string,
  options: ImportCommandOptions,
  isUrlGiven: boolean,
  io: Io,
  sayText: Say,
): Promise<void> {
  const { json, activation, readout, layers: description, check } = options;
  const bytes = await readInput(file, 'The model file');
  const model = await readModel(bytes, { activation, readout, layers: description });
  const rows = layerRows(model);
  const say: Say = (text) => (json ? Promise.resolve() : sayText(text));
  await say(`${formatLayers(rows)}\n\nid  ${model.id}`);
  for (const text of model.notes) note(io, `Note: ${text}`);

  await io.buildKernels();
  const checked = selfCheck(model.layers);
  await say(
    'self-check  the kernels compute the bits of the reference ' +
      `(${checked.kernel}, T=${checked.T}, N=${checked.N}, ${checked.ms} ms)`,
  );

  const comparison = check === undefined ? undefined : await checkModel(model.layers, check, options);
  if (comparison) await say(`\n${formatCheck(comparison, isLastBidirectional(model.layers))}`);
  const isWrong = comparison !== undefined && !comparison.isWithin;
  if (isWrong) io.setExitCode(EXIT.no);

  const delivered = isWrong ? {} : await deliver(bytes, model, options, isUrlGiven, io);
  if (delivered.written) await say(`written  ${delivered.written.path}, ${formatCount(delivered.written.bytes)} bytes`);
  if (delivered.registered) await say(`registered  at ${options.url}\n${describeModel(delivered.registered)}`);
  if (!json) return;
  await printJson(io, {
    file,
    id: model.id,
    layers: rows.map(({ layer, tensors }) => ({ ...layer, tensors })),
    numbers: totalOf(rows),
    notes: model.notes,
    selfCheck: checked,
    ...(comparison && { check: comparison }),
    ...delivered,
  });
}

function isLastBidirectional(layers: readonly Layer[]): boolean {
  const last = layers.findLast((layer) => isRecurrent(layer));
  return last?.direction === 'bidirectional';
}

interface Delivered {
  readonly written?: { readonly path: string; readonly bytes: number };
  readonly registered?: Registered;
}

async function deliver(
  bytes: Uint8Array<ArrayBuffer>,
  model: Awaited<ReturnType<typeof readModel>>,
  { url, name, activation, readout, layers, output, force = false, dryRun, check }: ImportCommandOptions,
  isUrlGiven: boolean,
  io: Io,
): Promise<Delivered> {
  if (dryRun) return {};
  const written = output === undefined ? undefined : { path: output, bytes: await writeModel(output, model.layers, force) };
  if (!isUrlGiven && (output !== undefined || check !== undefined)) return { ...(written && { written }) };
  const registered = await register(new Service(io, url), bytes, { name, activation, readout, layers }, model.id);
  return { ...(written && { written }), registered };
}

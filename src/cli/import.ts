// carryover import: what a model file has, whether it is computed rightly, and its registration.
import { type Command, Option } from 'commander';
import { checkModel } from './check/check-model.ts';
import { formatCheck } from './check/report.ts';
import { readInput } from './files.ts';
import { type Registered, register, writeModel } from './import/deliver.ts';
import { formatLayers, layerRows, totalOf } from './import/layer-table.ts';
import { readModel } from './import/read-model.ts';
import { selfCheck } from './import/self-check.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, note, print, printJson } from './io.ts';
import { number, withExamples, withService } from './options.ts';
import { Service } from './service.ts';
import { describeModel } from './models.ts';
import { formatCount } from './table.ts';

interface ImportCommandOptions {
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

export function importCommand(program: Command, io: Io): void {
  const command = withService(program.command('import <file>'), io)
    .description(
      'Read a model file, show the layers that were understood, check that they are computed with the promised bits, and ' +
        'register the file with a service. Nothing in the file is ever executed.',
    )
    .option('--name <name>', 'the name that the model gets in the service')
    .option('--activation <name>', 'confirms the activation, if the file does not say it: tanh or relu')
    .option('--readout <layer>', 'the layer that computes y from h, e.g. head')
    .option('--layers <json>', 'describes the layers, if the file does not: [{"type":"lstm","name":"lstm"},…]')
    .option('-o, --output <file>', 'write a safetensors file with a description of the layers, and register nothing')
    .option('--force', 'replace the file of --output, if it exists')
    .option('--dry-run', 'only show and check')
    .option('--check <inputs>', 'compare with outputs of your framework, a .npz or .json file; registers only with --url')
    .addOption(new Option('--layout <axes>', 'order of the axes of x, hs and ys in --check').choices(['TND', 'NTD']).default('TND'))
    .option('--tolerance <number>', 'of --check: largest difference, times the larger of 1 and the expected value', number(0, 1))
    .addHelpText('after', CHECK_HELP)
    .action((file: string, options: ImportCommandOptions) => importModel(file, options, isUrlGiven(command), io));
  withExamples(command, [
    'import forecast.pt --activation tanh --dry-run',
    'import forecast.pt --activation tanh --name forecast',
    'import forecast.pt --activation tanh --output forecast.safetensors',
    'import forecast.pt --activation tanh --check outputs.npz',
  ]);
}

const isUrlGiven = (command: Command) => command.getOptionValueSource('url') === 'cli';

const CHECK_HELP = `
Arrays of --check, by their names:
  x          inputs, (T, N, D), or (N, T, D) with --layout NTD; of an embedding (T, N), whole numbers
  h0, c0     states before the first step, (N, H), zeros if absent; of several layers h0.0, h0.1 …, or stacked as
             torch has them, (layers and directions, N, H)
  lengths    (N), steps of each row
  hs, ys     expected: outputs of the last recurrent layer, and of the layers behind it, of every step
  y          expected: the same after the last step, (N, O)
  h, c       expected: states after the last step, as h0 and c0
An axis of size 1 may be left out. The tolerance is 0.00001, or 0.001 for arrays of float16: float32 programs that add
in different orders differ by about 0.000001, and a wrong gate, layout or activation by more than 0.01.
In Python: numpy.savez("outputs.npz", x=x, hs=hs, h=h)`;

async function importModel(file: string, options: ImportCommandOptions, isUrlGiven: boolean, io: Io): Promise<void> {
  const { json, activation, readout, layers: description, check } = options;
  const bytes = await readInput(file, 'The model file');
  const model = await readModel(bytes, { activation, readout, layers: description });
  const rows = layerRows(model);
  const say = (text: string) => (json ? Promise.resolve() : print(io, text));
  await say(`${formatLayers(rows)}\n\nid  ${model.id}`);
  for (const text of model.notes) note(io, `Note: ${text}`);

  await io.buildKernels();
  const checked = selfCheck(model.layers);
  await say(`self-check  the kernels compute the bits of the reference (${checked.kernel}, T=${checked.T}, N=${checked.N}, ${checked.ms} ms)`);

  const comparison = check === undefined ? undefined : await checkModel(model.layers, check, options);
  if (comparison) await say(`\n${formatCheck(comparison)}`);
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


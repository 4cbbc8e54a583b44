// carryover import: its options and its help.
import { type Command, Option } from 'commander';
import type { ImportCommandOptions } from './import/run.ts';
import type { Io } from './io.ts';
import { number, withExamples, withService } from './options.ts';

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
    .addOption(
      new Option('--layout <axes>', 'order of the axes of x, hs and ys in --check').choices(['TND', 'NTD']).default('TND'),
    )
    .option(
      '--tolerance <number>',
      'of --check: largest difference, times the larger of 1 and the expected value',
      number(0, 1),
    )
    .addHelpText('after', CHECK_HELP)
    .action(async (file: string, options: ImportCommandOptions) => {
      // Reading models takes more code than all other commands have.
      const { importModel } = await import('./import/run.ts');
      await importModel(file, options, isUrlGiven(command), io);
    });
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

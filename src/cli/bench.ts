// carryover bench: its options and its help.
import type { Command } from 'commander';
import { CONNECTIONS } from './bench/http-target.ts';
import type { BenchOptions } from './bench/run.ts';
import type { Io } from './io.ts';
import { number, wholeNumber, withExamples, withService } from './options.ts';

export function benchCommand(program: Command, io: Io): void {
  const command = withService(program.command('bench'), io)
    .description(
      `Measure requests per second and latency of a service with ${CONNECTIONS} connections that send without a pause: an ` +
        'empty request, and steps with weights inline, with a registered model, and as bytes. Every answer is compared. ' +
        'Client and service share the cores if they are on one machine: read the ratios.',
    )
    .option('--seconds <number>', 'length of one measurement', number(0.05, 600), 3)
    .option('--rounds <count>', 'measurements of each request', wholeNumber(1, 1_000), 4)
    .action(async (options: BenchOptions) => (await import('./bench/run.ts')).bench(options, io));
  withExamples(command, ['bench', 'bench --seconds 0.1 --rounds 1 --json']);
}

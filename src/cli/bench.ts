// carryover bench: requests per second and latency of a service that runs. The generator is that of `npm run bench:wire`,
// over plain sockets: it compares every response byte by byte, and needs no package in the image. `npm run load` measures
// the same table with autocannon, which is independent of this project.
import { availableParallelism, cpus } from 'node:os';
import type { Command } from 'commander';
import { runClosedLoop } from './bench/closed-loop.ts';
import { CONNECTIONS } from './bench/http-target.ts';
import { type TargetResult, describeResults, measure, measurementsOf } from './bench/measure.ts';
import { makeTargets } from './bench/targets.ts';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, print, printJson } from './io.ts';
import { number, wholeNumber, withExamples, withService } from './options.ts';
import { startProgress } from './progress.ts';
import { Service } from './service.ts';

interface BenchOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly seconds: number;
  readonly rounds: number;
}

export function benchCommand(program: Command, io: Io): void {
  const command = withService(program.command('bench'), io)
    .description(
      `Measure requests per second and latency of a service with ${CONNECTIONS} connections that send without a pause: an ` +
        'empty request, and steps with weights inline, with a registered model, and as bytes. Every answer is compared. ' +
        'Client and service share the cores if they are on one machine: read the ratios.',
    )
    .option('--seconds <number>', 'length of one measurement', number(0.05, 600), 3)
    .option('--rounds <count>', 'measurements of each request', wholeNumber(1, 1_000), 4)
    .action((options: BenchOptions) => bench(options, io));
  withExamples(command, ['bench', 'bench --seconds 0.1 --rounds 1 --json']);
}

async function bench({ url, json, seconds, rounds }: BenchOptions, io: Io): Promise<void> {
  const service = new Service(io, url);
  if (service.url.protocol !== 'http:') {
    throw new CliError(EXIT.usage, `The address is ${JSON.stringify(url)}, expected one with http: the generator speaks no TLS.`);
  }
  const { kernel } = await service.json<{ kernel?: string }>('/health/ready');
  const results = await measureAll(service.url.href.replace(/\/$/, ''), seconds, rounds, io);
  if (json) return printJson(io, results);
  const cores = availableParallelism();
  const machine = `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cores} ${cores === 1 ? 'core' : 'cores'} · Node ${process.version}`;
  await print(io, `${machine} · the service runs with ${kernel}\n${describeResults(results, 'carryover bench')}`);
}

async function measureAll(url: string, seconds: number, rounds: number, io: Io): Promise<readonly TargetResult[]> {
  try {
    await using made = await makeTargets(url);
    const { targets } = made;
    const progress = await startProgress(io, 'measuring', measurementsOf(targets.length, rounds));
    const onProgress = (done: number) => {
      io.signal.throwIfAborted();
      progress.update(done);
    };
    try {
      return await measure(targets, { seconds, rounds, generator: runClosedLoop, onProgress });
    } finally {
      progress.stop();
    }
  } catch (cause) {
    io.signal.throwIfAborted();
    // A response that is not the expected one, or none.
    throw new CliError(EXIT.unavailable, `The service cannot be measured: ${(cause as Error).message}`, { cause });
  }
}

// What `carryover bench` does: requests per second and latency of a service that runs. The generator is that of
// `npm run bench:wire`, over plain sockets: it compares every response byte by byte, and needs no package in the image.
// `npm run load` measures the same table with autocannon, which is independent of this project.
import { availableParallelism, cpus } from 'node:os';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, print, printJson } from '../io.ts';
import { startProgress } from '../progress.ts';
import { Service, keyHeader } from '../service.ts';
import { runClosedLoop } from './closed-loop.ts';
import { type TargetResult, describeResults, measure, measurementsOf } from './measure.ts';
import { makeTargets } from './targets.ts';

export interface BenchOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly seconds: number;
  readonly rounds: number;
}

export async function bench({ url, json, seconds, rounds }: BenchOptions, io: Io): Promise<void> {
  const service = new Service(io, url);
  if (service.url.protocol !== 'http:') {
    throw new CliError(
      EXIT.usage,
      `The address is ${JSON.stringify(url)}, expected one with http: the generator speaks no TLS.`,
    );
  }
  const { kernel } = await service.json<{ kernel?: string }>('/health/ready');
  const results = await measureAll(service.url.href.replace(/\/$/, ''), seconds, rounds, io);
  if (json) return printJson(io, results);
  const cores = availableParallelism();
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  const machine = `${processor}, ${cores} ${cores === 1 ? 'core' : 'cores'} · Node ${process.version}`;
  await print(io, `${machine} · the service runs with ${kernel}\n${describeResults(results, 'carryover bench')}`);
}

async function measureAll(url: string, seconds: number, rounds: number, io: Io): Promise<readonly TargetResult[]> {
  try {
    await using made = await makeTargets(url, keyHeader(io));
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

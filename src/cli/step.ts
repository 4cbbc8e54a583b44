// carryover step: one step, or a sequence, with a model or on a session.
import type { Command } from 'commander';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, print, write } from './io.ts';
import type { ModelInfo } from './models.ts';
import { withExamples, withService } from './options.ts';
import { Service } from './service.ts';
import { type Nested, readX } from './step/read-x.ts';
import { formatTensors } from './tensors.ts';

interface StepOptions {
  readonly url: string;
  readonly json?: boolean;
  readonly model?: string;
  readonly session?: string;
  readonly file?: string;
  readonly outputs?: string;
  readonly key?: string;
}

export function stepCommand(program: Command, io: Io): void {
  const command = withService(program.command('step [x]'), io)
    .description(
      'Compute a step or a sequence. X is JSON: (N, D) is one step of N rows, (T, N, D) a sequence; a number or a list is ' +
        'one row. With a model that begins with an embedding the axis D is left out.',
    )
    .option('--model <ref>', 'the name or the id of a model')
    .option('--session <id>', 'a session, which takes the steps')
    .option('--file <path>', 'x from a file, or from stdin with -: JSON, or CSV with the inputs of a step in each line')
    .option('--outputs <names>', 'of a sequence: which of hs, h, c, ys, y, separated by commas')
    .option('--key <text>', 'an Idempotency-Key: the same call with the same key counts once')
    .action((x: string | undefined, options: StepOptions) => step(x, options, io));
  withExamples(command, [
    'step --model sunspots 0.58',
    "step --model sunspots '[[0.58],[0.6]]'",
    'step --model sunspots --file months.csv --outputs ys',
    'step --session SESSION --key month-1 0.58',
    "step --model austen '[49]' --json",
  ]);
}

async function step(argument: string | undefined, options: StepOptions, io: Io): Promise<void> {
  const { url, json, model, session, file, outputs, key } = options;
  if ((model === undefined) === (session === undefined)) {
    const found = model === undefined ? 'Neither --model nor --session is' : 'Both --model and --session are';
    throw new CliError(EXIT.usage, `${found} given, expected one of them. Try: carryover step --model sunspots 0.58`);
  }
  const service = new Service(io, url);
  const info = await modelOf(service, model, session);
  const { x, isSequence } = await readX(argument, file, inputsOf(info), io);
  const chosen = outputs?.split(',').map((name) => name.trim());
  if (chosen && !isSequence) {
    throw new CliError(
      EXIT.usage,
      '--outputs is given for one step, expected a sequence: x with an axis T, e.g. [[[0.58]],[[0.6]]].',
    );
  }
  const { text } = await service.call(isSequence ? '/v1/sequence' : '/v1/step', {
    method: 'POST',
    body: { model, session, x, outputs: chosen },
    headers: key === undefined ? {} : { 'idempotency-key': key },
  });
  if (json) return write(io, `${text.trimEnd()}\n`);
  const { session: mark, ...tensors } = JSON.parse(text) as Record<string, Nested> & { session?: { t: number } };
  await print(io, formatTensors(tensors, io.stdout.columns));
  if (mark) await print(io, `\nsession ${session} is at t = ${mark.t}`);
}

async function modelOf(service: Service, model: string | undefined, session: string | undefined): Promise<ModelInfo> {
  const ref = model ?? (await service.json<{ model: string }>(`/v1/sessions/${encodeURIComponent(session!)}`)).model;
  return service.json<ModelInfo>(`/v1/models/${encodeURIComponent(ref)}`);
}

/** How many numbers a row of x has; undefined if it is one row number of an embedding. */
function inputsOf({ D, layers }: ModelInfo): number | undefined {
  return layers?.[0]?.type === 'embedding' ? undefined : D;
}

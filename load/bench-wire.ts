// npm run bench:wire: the service end to end, JSON and bytes, beside Fastify with onnxruntime-node.
//
// Both are processes of their own with the same models registered. Their samples alternate, A B C A B C …, so
// that what slows the machine for a while slows all of them.
//
//   node load/bench-wire.ts [--rounds 5] [--seconds 3] [--quick]
//     [--only codec] [--only 'steps,N=1|32'] [--only loop] [--json FILE]
//
// `--seconds` is the length of one sample. Exit code 1 if an answer is wrong (ours by a bit, the
// peer's by more than 1e-4) or does not come, or if onnxruntime-node is not installed. A missed target is
// printed and does not change the exit code.
import { parseArgs } from 'node:util';
import { CONNECTIONS } from '../src/cli/bench/http-target.ts';
import { describeMachine, machineInfo } from './report/machine.ts';
import { onnxRuntimeManifest } from './peers/onnxruntime.ts';
import { ROUND_OPTIONS, runProgram, secondsOf, wholeNumber, writeReport } from './report/program.ts';
import { benchCodec, codecTargets, describeCodec } from './wire/codec.ts';
import { formatLoop, loopTargets, measureEventLoop } from './wire/event-loop.ts';
import { formatSteps, stepFigures, stepTargets } from './wire/step-report.ts';
import { STEP_SIZES, measureSteps } from './wire/steps.ts';
import { type Target, formatTargets } from './report/targets.ts';

/** A round of the codec takes a few milliseconds. */
const CODEC_ROUNDS_PER_ROUND = 5;

interface Options {
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

interface Part {
  readonly text: string;
  readonly targets: readonly Target[];
  /** The numbers for --json. */
  readonly figures: object;
}

/** Measured in this order; each part starts the processes that it measures, and stops them. */
const PARTS: Readonly<Record<string, (options: Options) => Promise<Part>>> = {
  async codec({ rounds }) {
    const results = await benchCodec(CODEC_ROUNDS_PER_ROUND * rounds);
    const text = `The JSON codec alone, one thread\n\n${describeCodec(results)}`;
    return { text, targets: codecTargets(results), figures: results };
  },
  async steps(options) {
    const cells = await measureSteps(options);
    const figures = stepFigures(cells);
    const text = `POST /v1/step, D=H=128, ${CONNECTIONS} connections; latencies in ms

${formatSteps(figures)}`;
    return { text, targets: stepTargets(figures), figures: { cells, summary: figures } };
  },
  async loop(options) {
    const result = await measureEventLoop(options);
    return { text: formatLoop(result), targets: loopTargets(result), figures: result };
  },
};

await runProgram(main);

async function main(): Promise<void> {
  const { parts, options, json } = readArguments();
  const machine = machineInfo();
  // The codec alone is compared with JavaScript's JSON only.
  const onnxRuntime = parts.some((name) => name !== 'codec')
    ? onnxRuntimeManifest().version
    : undefined;
  const peer = onnxRuntime
    ? `Fastify + onnxruntime-node ${onnxRuntime}, one thread, JSON with schemas`
    : 'JSON.parse with a loop, JSON.stringify';
  const { rounds, seconds } = options;
  console.log(`
${describeMachine(machine)}
peer: ${peer}
median of ${rounds} rounds of ${seconds} s; ratios are taken within a round`);
  const figures: Record<string, object> = {};
  const targets: Target[] = [];
  for (const name of parts) {
    const part = await PARTS[name]!(options);
    console.log(`\n${part.text}`);
    figures[name] = part.figures;
    targets.push(...part.targets);
  }
  console.log(`\n${formatTargets(targets)}\n`);
  writeReport(json, { machine, peer, rounds, seconds, ...figures, targets });
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      ...ROUND_OPTIONS,
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
    },
  });
  const { quick, only, json } = values;
  const seconds = secondsOf(values.seconds ?? (quick ? 1 : 3), 1);
  const rounds = wholeNumber('rounds', values.rounds ?? (quick ? 2 : 5));
  const { parts, sizes } = readOnly(only.flatMap((list) => list.split(',')));
  const quickSizes = quick ? [1, 32] : STEP_SIZES;
  return { parts, options: { sizes: sizes ?? quickSizes, rounds, seconds }, json };
}

/** `--only`. @throws Error unless each condition is the name of a part, or sizes like `N=1|32` */
function readOnly(conditions: readonly string[]) {
  let sizes: number[] | undefined;
  const named: string[] = [];
  for (const condition of conditions) {
    const list = /^N=(\d+(?:\|\d+)*)$/.exec(condition)?.[1];
    if (list !== undefined) sizes = list.split('|').map(Number);
    else if (Object.hasOwn(PARTS, condition)) named.push(condition);
    else throw new Error(`--only takes ${partNames().join(', ')} and N=1|32, not ${condition}.`);
  }
  const wrong = sizes?.find((N) => !STEP_SIZES.includes(N));
  if (wrong !== undefined) throw new Error(`N is one of ${STEP_SIZES.join(', ')}, not ${wrong}.`);
  const parts = named.length === 0 ? partNames() : partNames().filter((name) => named.includes(name));
  return { parts, sizes };
}

function partNames(): string[] {
  return Object.keys(PARTS);
}

// POST /v1/step end to end: the peer's JSON, our JSON and our bytes alternate, round by round.
import { readSafetensors } from '../../src/codec/safetensors/read.ts';
import { expectNear, expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { type StepCase, makeStepCase, stepBody, stepFile } from '../../src/cli/bench/step-case.ts';
import { FILE_HEADERS, JSON_HEADERS, post, stateOfJson } from '../clients/api.ts';
import { runClosedLoop } from '../../src/cli/bench/closed-loop.ts';
import type { HttpRound, HttpTarget } from '../../src/cli/bench/http-target.ts';
import { startProgress } from '../report/progress.ts';
import { PEER_DIFFERENCE_MAX, type Services, withServices } from './services.ts';

const SIZE = 128;

export const STEP_SIZES: readonly number[] = [1, 8, 32, 128];
export const FORMS = ['peer JSON', 'our JSON', 'our bytes'] as const;

/** The rounds of one mini-batch size. */
export interface StepCell {
  readonly N: number;
  readonly rounds: Readonly<Record<(typeof FORMS)[number], readonly HttpRound[]>>;
}

export interface StepMeasurement {
  /** The mini-batch sizes N. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** @throws Error if an answer is wrong, before anything is timed */
export function measureSteps(measurement: StepMeasurement): Promise<StepCell[]> {
  const cases = measurement.sizes.map((N) => makeStepCase({ N, D: SIZE, H: SIZE }));
  const models = new Map(cases.map((stepCase) => [modelOf(stepCase), stepCase.weights]));
  return withServices(models, (services) => measureCases(measurement, cases, services));
}

const modelOf = ({ N }: StepCase) => `step-${N}`;

async function measureCases(
  { rounds, seconds }: StepMeasurement,
  cases: readonly StepCase[],
  services: Services,
): Promise<StepCell[]> {
  const cells = await Promise.all(
    cases.map(async (stepCase) => ({
      targets: await makeTargets(services, stepCase),
      N: stepCase.N,
      rounds: {
        'peer JSON': [] as HttpRound[],
        'our JSON': [] as HttpRound[],
        'our bytes': [] as HttpRound[],
      },
    })),
  );
  const progress = await startProgress('steps', cells.length * FORMS.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    for (const cell of cells) {
      for (const form of FORMS) {
        const result = await runClosedLoop(cell.targets[form], seconds);
        // Round -1 warms up. It is as long as the others: V8 optimises for seconds.
        if (round >= 0) cell.rounds[form].push(result);
        progress.update(++done);
      }
    }
  }
  progress.stop();
  return cells.map(({ N, rounds }) => ({ N, rounds }));
}

type Targets = Readonly<Record<(typeof FORMS)[number], HttpTarget>>;

/** @throws Error unless our answers have the bits of the reference and the peer's are close to them */
async function makeTargets(
  { oursUrl, peerUrl }: Services,
  stepCase: StepCase,
): Promise<Targets> {
  const model = modelOf(stepCase);
  const json = Buffer.from(stepBody(stepCase, model));
  const file = stepFile(stepCase, model);
  const [ours, peer] = [`${oursUrl}/v1/step`, `${peerUrl}/v1/step`];
  const nameOf = (form: string) => `${form}, N=${stepCase.N}`;

  const oursJson = (await post(ours, json)).toString();
  expectSameBits(nameOf('our JSON'), stateOfJson(oursJson), stepCase.expected);
  const oursFile = await post(ours, file, FILE_HEADERS);
  const { data } = readSafetensors(new Uint8Array(oursFile)).get('h')!;
  expectSameBits(nameOf('our bytes'), Float32Array.from(data), stepCase.expected);
  const peerJson = (await post(peer, json)).toString();
  expectNear(nameOf('peer JSON'), stateOfJson(peerJson), stepCase.expected, PEER_DIFFERENCE_MAX);

  const target = (name: string, url: string, headers: typeof JSON_HEADERS, body: Buffer) =>
    ({ name: nameOf(name), url, method: 'POST', headers, body }) as const;
  return {
    'peer JSON': { ...target('peer JSON', peer, JSON_HEADERS, json), expectBody: peerJson },
    'our JSON': { ...target('our JSON', ours, JSON_HEADERS, json), expectBody: oursJson },
    'our bytes': { ...target('our bytes', ours, FILE_HEADERS, file), expectBody: oursFile },
  };
}

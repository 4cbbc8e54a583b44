// POST /v1/step end to end, round by round: the peer's JSON, our JSON, our bytes.
import { readSafetensors } from '../../src/codec/safetensors/read.ts';
import { type Round, type Target, fire } from '../fire.ts';
import { startProgress } from '../progress.ts';
import { type StepCase, expectRightBits, makeStepCase, stepBody, stepFile } from '../step-case.ts';
import {
  type Contestants,
  JSON_HEADERS,
  expectNear,
  post,
  stateOfJson,
  withContestants,
} from './contestants.ts';

const SIZE = 128;
const FILE_HEADERS = { 'content-type': 'application/vnd.carryover.safetensors' };

export const STEP_SIZES: readonly number[] = [1, 8, 32, 128];
export const FORMS = ['peer JSON', 'our JSON', 'our bytes'] as const;

/** One list element a round. */
export interface StepCell {
  readonly N: number;
  readonly rounds: Readonly<Record<(typeof FORMS)[number], readonly Round[]>>;
}

export interface StepMeasurement {
  /** Of the mini-batches. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** @throws Error if an answer is wrong, before anything is timed */
export function measureSteps(measurement: StepMeasurement): Promise<StepCell[]> {
  const cases = measurement.sizes.map((N) => makeStepCase({ N, D: SIZE, H: SIZE }));
  const models = new Map(cases.map((stepCase) => [modelOf(stepCase), stepCase.weights]));
  return withContestants(models, (contestants) => measureCases(measurement, cases, contestants));
}

const modelOf = ({ N }: StepCase) => `step-${N}`;

async function measureCases(
  { rounds, seconds }: StepMeasurement,
  cases: readonly StepCase[],
  contestants: Contestants,
): Promise<StepCell[]> {
  const cells = await Promise.all(
    cases.map(async (stepCase) => ({
      targets: await makeTargets(contestants, stepCase),
      N: stepCase.N,
      rounds: { 'peer JSON': [] as Round[], 'our JSON': [] as Round[], 'our bytes': [] as Round[] },
    })),
  );
  const progress = startProgress('steps', cells.length * FORMS.length * (rounds + 1));
  let done = 0;
  for (let round = -1; round < rounds; round++) {
    for (const cell of cells) {
      for (const form of FORMS) {
        const result = await fire(cell.targets[form], seconds);
        // The round before the first warms up, as long as any: compilers are at work for seconds.
        if (round >= 0) cell.rounds[form].push(result);
        progress.update(++done);
      }
    }
  }
  progress.stop();
  return cells.map(({ N, rounds }) => ({ N, rounds }));
}

type Targets = Readonly<Record<(typeof FORMS)[number], Target>>;

/** Each is asked once, and its answer is compared. */
async function makeTargets(
  { oursUrl, peerUrl }: Contestants,
  stepCase: StepCase,
): Promise<Targets> {
  const model = modelOf(stepCase);
  const text = Buffer.from(stepBody(stepCase, model));
  const file = stepFile(stepCase, model);
  const [ours, peer] = [`${oursUrl}/v1/step`, `${peerUrl}/v1/step`];
  const nameOf = (form: string) => `${form}, N=${stepCase.N}`;

  const oursText = (await post(ours, JSON_HEADERS, text)).toString();
  expectRightBits(nameOf('our JSON'), stepCase, stateOfJson(oursText));
  const oursFile = await post(ours, FILE_HEADERS, file);
  const { data } = readSafetensors(new Uint8Array(oursFile)).get('h')!;
  expectRightBits(nameOf('our bytes'), stepCase, Float32Array.from(data));
  const peerText = (await post(peer, JSON_HEADERS, text)).toString();
  expectNear(nameOf('peer JSON'), stateOfJson(peerText), stepCase.expected);

  const target = (name: string, url: string, headers: typeof JSON_HEADERS, body: Buffer) =>
    ({ name: nameOf(name), url, method: 'POST', headers, body }) as const;
  return {
    'peer JSON': { ...target('peer JSON', peer, JSON_HEADERS, text), expectBody: peerText },
    'our JSON': { ...target('our JSON', ours, JSON_HEADERS, text), expectBody: oursText },
    'our bytes': { ...target('our bytes', ours, FILE_HEADERS, file), expectBody: oursFile },
  };
}

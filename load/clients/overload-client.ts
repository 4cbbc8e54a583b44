// Callers for load-overload.ts. Each request is one job of some 50 ms with a short body and a short answer, and every
// answer must equal that of the idle service.
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { tanhLayers } from '../../src/layers.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { makeWeights } from '../../src/cli/bench/pseudo-random-tensors.ts';
import type { ServerProcess } from '../processes/server-process.ts';
import { JSON_HEADERS, registerLayers } from './api.ts';

export const JOB = { T: 200, N: 8, D: 1, H: 1_024 };
const BODY = JSON.stringify({
  model: 'overload',
  outputs: ['h'],
  x: Array.from({ length: JOB.T }, () =>
    Array.from({ length: JOB.N }, () => Array.from({ length: JOB.D }, () => 0.1)),
  ),
});

export interface Answer {
  /** `ok`, or the code of the problem. */
  readonly code: string;
  readonly ms: number;
  /** Retry-After in ms; 1,000 if the answer has none. */
  readonly retryMs: number;
}

export class OverloadClient {
  readonly url: string;
  readonly #server: ServerProcess;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 900 });
  #expected: Buffer | undefined;

  constructor(server: ServerProcess) {
    this.#server = server;
    this.url = server.url;
  }

  /** Registers the model, and keeps the answer that all later ones must equal. */
  async prepare(): Promise<void> {
    const weights = makeWeights(pseudoRandom(1), JOB.D, JOB.H);
    await registerLayers(this.url, tanhLayers(weights), 'overload');
    for (let i = 0; i < 3; i++) await this.#call();
  }

  /** Workers that the service has lost so far, by its log. */
  workersLost(): number {
    return this.#server.log().split('a worker was lost').length - 1;
  }

  /** Sends at a fixed rate for these seconds. @returns all answers, whenever they are received */
  async openLoop(perS: number, seconds: number): Promise<Answer[]> {
    const startMs = performance.now();
    const calls: Promise<Answer>[] = [];
    for (let sent = 0; sent < perS * seconds; sent++) {
      const atMs = startMs + (1_000 * sent) / perS;
      const waitMs = atMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      calls.push(this.#call());
    }
    return Promise.all(calls);
  }

  /** Callers that send when they are answered. @returns the answers received within these seconds */
  async closedLoop(callers: number, seconds: number): Promise<Answer[]> {
    const endMs = performance.now() + 1_000 * seconds;
    const answers: Answer[] = [];
    const call = async () => {
      for (;;) {
        const answer = await this.#call();
        if (performance.now() > endMs) return;
        answers.push(answer);
        if (answer.code !== 'ok') await sleep(answer.retryMs);
      }
    };
    await Promise.all(Array.from({ length: callers }, call));
    return answers;
  }

  async #call(): Promise<Answer> {
    const startMs = performance.now();
    const { status, retryS, body } = await this.#post();
    const ms = performance.now() - startMs;
    if (status !== 200) {
      const { code } = JSON.parse(body.toString()) as { code: string };
      return { code, ms, retryMs: 1_000 * retryS };
    }
    this.#expected ??= body;
    if (!this.#expected.equals(body)) throw new Error('An answer is not that of the idle service.');
    return { code: 'ok', ms, retryMs: 0 };
  }

  #post(): Promise<{ status: number; retryS: number; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const headers = { ...JSON_HEADERS, 'content-length': Buffer.byteLength(BODY) };
      const options = { method: 'POST', agent: this.#agent, headers };
      const sending = httpRequest(`${this.url}/v1/sequence`, options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const { statusCode, headers: { 'retry-after': retry = 1 } } = answer;
          resolve({ status: statusCode!, retryS: Number(retry), body: Buffer.concat(chunks) });
        });
        answer.on('error', reject);
      });
      sending.on('error', reject);
      sending.end(BODY);
    });
  }
}

/** Answers in time, and the processor time of the service for them and for all that was refused. */
export class ProcessorShare {
  readonly #processorMs: () => number;
  readonly #deadlineMs: number;
  #ms = 0;
  #answers = 0;

  constructor(processorMs: () => number, deadlineMs: number) {
    this.#processorMs = processorMs;
    this.#deadlineMs = deadlineMs;
  }

  async of(send: () => Promise<Answer[]>): Promise<Answer[]> {
    const startMs = this.#processorMs();
    const answers = await send();
    this.#ms += this.#processorMs() - startMs;
    this.#answers += answers.filter(({ code, ms }) => code === 'ok' && ms <= this.#deadlineMs).length;
    return answers;
  }

  /** Answers in time for a ms of processor time. */
  get perMs(): number {
    return this.#answers / this.#ms;
  }
}

// Callers of the service under overload: each request is one job of some 50 ms, with a short body and a short
// answer, and every answer must be that of the idle service.
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { makeWeights } from '../made-up.ts';
import type { OwnServer } from '../own-server.ts';
import { modelBody } from '../step-case.ts';

export const JOB = { T: 200, N: 8, D: 1, H: 1_024 };
const BODY = JSON.stringify({
  model: 'overload',
  outputs: ['h'],
  x: Array.from({ length: JOB.T }, () =>
    Array.from({ length: JOB.N }, () => Array.from({ length: JOB.D }, () => 0.1)),
  ),
});
export interface Answer {
  /** `ok` or the problem's code. */
  readonly code: string;
  readonly ms: number;
  /** What Retry-After says. */
  readonly retryMs: number;
}

export class Client {
  readonly url: string;
  readonly #server: OwnServer;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 900 });
  #expected: Buffer | undefined;

  constructor(server: OwnServer) {
    this.#server = server;
    this.url = server.url;
  }

  /** Registers the model, and keeps the answer that all others have to have. */
  async prepare(): Promise<void> {
    const weights = makeWeights(pseudoRandom(1), JOB.D, JOB.H);
    const answer = await fetch(`${this.url}/v1/models?name=overload`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: modelBody({ weights }),
    });
    if (!answer.ok) throw new Error(`The model was refused: ${await answer.text()}`);
    await answer.arrayBuffer();
    for (let i = 0; i < 3; i++) await this.#ask();
  }

  workersLost(): number {
    return this.#server.log().split('a worker was lost').length - 1;
  }

  /** What is sent within these seconds, and its answers whenever they come. */
  async fireOpen(perS: number, seconds: number): Promise<Answer[]> {
    const startMs = performance.now();
    const asking: Promise<Answer>[] = [];
    for (let sent = 0; sent < perS * seconds; sent++) {
      const atMs = startMs + (1_000 * sent) / perS;
      const waitMs = atMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      asking.push(this.#ask());
    }
    return Promise.all(asking);
  }

  /** What is answered within these seconds. */
  async fireClosed(callers: number, seconds: number): Promise<Answer[]> {
    const endMs = performance.now() + 1_000 * seconds;
    const answers: Answer[] = [];
    const call = async () => {
      for (;;) {
        const answer = await this.#ask();
        if (performance.now() > endMs) return;
        answers.push(answer);
        if (answer.code !== 'ok') await sleep(answer.retryMs);
      }
    };
    await Promise.all(Array.from({ length: callers }, call));
    return answers;
  }

  async #ask(): Promise<Answer> {
    const startMs = performance.now();
    const { status, retry_s, body } = await this.#post();
    const ms = performance.now() - startMs;
    if (status !== 200) {
      const { code } = JSON.parse(body.toString()) as { code: string };
      return { code, ms, retryMs: 1_000 * retry_s };
    }
    this.#expected ??= body;
    if (!this.#expected.equals(body)) throw new Error('An answer is not that of the idle service.');
    return { code: 'ok', ms, retryMs: 0 };
  }

  #post(): Promise<{ status: number; retry_s: number; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(BODY) };
      const options = { method: 'POST', agent: this.#agent, headers };
      const sending = httpRequest(`${this.url}/v1/sequence`, options, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const { statusCode, headers: { 'retry-after': retry = 1 } } = answer;
          resolve({ status: statusCode!, retry_s: Number(retry), body: Buffer.concat(chunks) });
        });
        answer.on('error', reject);
      });
      sending.on('error', reject);
      sending.end(BODY);
    });
  }
}

// The client of load-fair.ts that keeps the workers full: the heaviest sequences that are allowed, as fast as they are answered.
import { setTimeout as sleep } from 'node:timers/promises';
import { makeWeights } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { readResponseHead } from '../../src/cli/bench/response-head.ts';
import { tanhLayers } from '../../src/layers.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { registerLayers } from './api.ts';
import { MessageConnection, unexpected } from './message-connection.ts';

const [N, D, H] = [32, 1, 1_024];
/** WORK_FLOPS_MAX. */
const FLOPS_MAX = 1e11;
const T = Math.floor(FLOPS_MAX / (2 * N * (D + H) * H));
/** Sequences that are sent at once. */
const CONNECTIONS = 3;
/** Until the workers compute the first. */
const LEAD_MS = 300;
const REFUSED_PAUSE_MS = 100;

export class HeavyClient {
  static readonly what = `sequences with T=${T}, N=${N}, H=${H} on ${CONNECTIONS} connections`;
  readonly #connections: readonly MessageConnection[];
  #isStopping = false;
  #running: Promise<unknown> = Promise.resolve();

  static async start(url: string): Promise<HeavyClient> {
    const model = await registerLayers(url, tanhLayers(makeWeights(pseudoRandom(1), D, H)));
    const x = `[${Array.from({ length: T }, () => `[${Array.from({ length: N }, () => '[0.1]').join(',')}]`).join(',')}]`;
    const body = `{"model":"${model}","outputs":["h"],"x":${x}}`;
    const head = `POST /v1/sequence HTTP/1.1\r\nhost: ${new URL(url).host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    const connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => MessageConnection.open(url)));
    const client = new HeavyClient(connections);
    client.#running = Promise.all(connections.map((connection) => client.#send(connection, Buffer.from(head + body))));
    client.#running.catch(() => undefined);
    await sleep(LEAD_MS);
    return client;
  }

  private constructor(connections: readonly MessageConnection[]) {
    this.#connections = connections;
  }

  /** Closes the connections: what is computed for them ends soon after. @throws Error if an answer was neither a state nor a refusal */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const connection of this.#connections) connection.close();
    await this.#running;
    await sleep(LEAD_MS);
  }

  async #send(connection: MessageConnection, request: Buffer): Promise<void> {
    while (!this.#isStopping) {
      const answer = await connection.call(request).catch((error: Error) => {
        if (!this.#isStopping) throw error;
      });
      if (answer === undefined) return;
      const status = readResponseHead(answer)?.status;
      if (status === 503 || status === 429) await sleep(REFUSED_PAUSE_MS);
      else if (status !== 200) throw unexpected(answer);
    }
  }
}

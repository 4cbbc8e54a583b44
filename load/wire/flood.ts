// Large bodies, always as many in flight as asked for: each connection sends its next as soon as it
// has its answer.
import { Agent, request } from 'node:http';
import { JSON_HEADERS } from './contestants.ts';

export interface Flood {
  /** Bodies answered until now. */
  readonly answered: number;
  /** Rejects as soon as an answer is wrong or does not come. */
  readonly failed: Promise<never>;
  /** Waits for the answers of what was sent: nothing is cut off, nothing left to compute. */
  stop(): Promise<void>;
}

export interface FloodOptions {
  readonly url: string;
  readonly body: Buffer;
  readonly inFlight: number;
  /** Every answer must be this text. */
  readonly expectBody: string;
}

export function startFlood({ url, body, inFlight, expectBody }: FloodOptions): Flood {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const state = { answered: 0, isStopped: false };
  const connections = Promise.all(Array.from({ length: inFlight }, keepSending));
  const failed = new Promise<never>((_, reject) => {
    connections.catch(reject);
  });
  // It is raced against; after the race nobody listens.
  failed.catch(() => undefined);
  return {
    get answered() {
      return state.answered;
    },
    failed,
    async stop() {
      state.isStopped = true;
      await connections;
      agent.destroy();
    },
  };

  async function keepSending(): Promise<void> {
    while (!state.isStopped) {
      const text = await send();
      if (text !== expectBody) throw new Error(`${url} answered ${text.slice(0, 400)}`);
      state.answered++;
    }
  }

  function send(): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { ...JSON_HEADERS, 'content-length': body.length };
      request(url, { method: 'POST', agent, headers }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.once('end', () => resolve(text)).once('error', reject);
      })
        .once('error', reject)
        .end(body);
    });
  }
}

// Requests with large bodies, a fixed number of them in flight: each connection sends its next request as
// soon as it has received its response.
import { Agent, request } from 'node:http';
import { JSON_HEADERS } from '../clients/api.ts';

export interface Flood {
  /** Bodies answered so far. */
  readonly answered: number;
  /** Rejects as soon as a response is wrong or does not come. */
  readonly failed: Promise<never>;
  /** Sends no more, and waits for the responses to what was sent, so that no work is left in the server. */
  stop(): Promise<void>;
}

export interface FloodOptions {
  readonly url: string;
  readonly body: Buffer;
  readonly inFlight: number;
  /** Every response must be this text. */
  readonly expectBody: string;
}

export function startFlood({ url, body, inFlight, expectBody }: FloodOptions): Flood {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const state = { answered: 0, isStopped: false };
  const connections = Promise.all(Array.from({ length: inFlight }, keepSending));
  const failed = new Promise<never>((_, reject) => {
    connections.catch(reject);
  });
  // Callers race against it; a rejection after the race has no listener, and must not end the process.
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

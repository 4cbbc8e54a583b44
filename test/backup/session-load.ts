// Clients that step and set sessions with keys, and remember every answer: what a backup made meanwhile may have.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';

const N = 8;
const H = 32;
/** Between an answer and the next call of a session. */
const PAUSE_MS = 10;

/** Of a session: what was answered, by version. */
interface History {
  readonly id: string;
  readonly calls: Map<number, Acknowledged>;
  /** The latest version that was answered. */
  acknowledged: number;
}

interface Acknowledged {
  readonly path: string;
  readonly init: RequestInit;
  readonly body: string;
  readonly digest: string;
}

/** Versions by session. */
export type Versions = ReadonlyMap<string, number>;

export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

export class SessionLoad {
  readonly #histories: History[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #isStopping = false;

  async create(call: Fetch, count: number): Promise<void> {
    for (let k = 0; k < count; k++) {
      const response = await call('/v1/sessions', post({ model: 'sunspots', N }));
      const { id } = (await response.json()) as { id: string };
      this.#histories.push({ id, calls: new Map(), acknowledged: 0 });
    }
  }

  /** Runs until stop(), or until the service does not answer. */
  start(call: Fetch): void {
    this.#running = Promise.all(this.#histories.map((history) => this.#change(call, history)));
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  /** What every session is at least at, as it was acknowledged. */
  acknowledged(): Versions {
    return new Map(this.#histories.map(({ id, acknowledged }) => [id, acknowledged]));
  }

  /** What every session is at most at: a call of each may be executed whose answer is not here yet. */
  sent(): Versions {
    return new Map(this.#histories.map(({ id, acknowledged }) => [id, acknowledged + 1]));
  }

  /** Resolves when every session is beyond these versions. */
  async beyond(versions: Versions): Promise<void> {
    while (this.#histories.some(({ id, acknowledged }) => acknowledged <= versions.get(id)!)) {
      await sleep(PAUSE_MS);
    }
  }

  /**
   * Compares a service with what was answered: versions within bounds, the state of that version, and the answer to
   * its key, which is given again and changes nothing.
   *
   * @returns what is wrong, a line for each session
   */
  async findFaults(call: Fetch, least: Versions, most: Versions): Promise<string[]> {
    const faults = await Promise.all(
      this.#histories.map(async ({ id, calls }) => {
        const response = await call(`/v1/sessions/${id}`);
        if (response.status !== 200) return [`${id}: ${response.status}`];
        const { version, digest } = (await response.json()) as { version: number; digest: string };
        const [min, max] = [least.get(id)!, most.get(id)!];
        if (version < min || version > max) return [`${id}: version ${version}, expected ${min} to ${max}`];
        const last = calls.get(version);
        // The call after the last one that was answered: it is not known what its answer was.
        if (!last) return version === max ? [] : [`${id}: version ${version} was never answered`];
        if (digest !== last.digest) return [`${id}: another state at version ${version}`];
        const again = await call(last.path, last.init);
        const isReplay = again.headers.get('idempotency-replayed') === 'true' && (await again.text()) === last.body;
        return isReplay ? [] : [`${id}: another answer to the key of version ${version}`];
      }),
    );
    return faults.flat();
  }

  async #change(call: Fetch, history: History): Promise<void> {
    const { id, calls } = history;
    for (let n = 1; !this.#isStopping; n++) {
      const value = (n % 17) / 17;
      const isSet = n % 7 === 0;
      const path = isSet ? `/v1/sessions/${id}/state` : '/v1/step';
      const rows = <Row>(row: Row) => Array.from({ length: N }, () => row);
      const { method, ...init } = post(isSet ? { h: rows(Array(H).fill(value)) } : { session: id, x: rows([value]) });
      const headers = { ...init.headers, 'idempotency-key': `n-${n}` };
      const keyed = { ...init, method: isSet ? 'PUT' : method, headers };
      let body: string;
      try {
        const response = await call(path, keyed);
        body = await response.text();
        expect(response.status, body).toBe(200);
      } catch (error) {
        // The service was killed.
        if (error instanceof TypeError) return;
        throw error;
      }
      const answer = JSON.parse(body) as { session?: { digest: string }; digest?: string };
      calls.set(n, { path, init: keyed, body, digest: (answer.session?.digest ?? answer.digest)! });
      history.acknowledged = n;
      await sleep(PAUSE_MS);
    }
  }
}

function post(body: object) {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

// What is used of two packages that come without types.

declare module 'autocannon' {
  import type { EventEmitter } from 'node:events';

  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds; without it `amount`. */
    readonly duration?: number;
    /** Requests, shared evenly by the connections: every one of them is answered. */
    readonly amount?: number;
    readonly method?: 'GET' | 'POST';
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string | Buffer;
    /** An answer that differs is counted as a mismatch. */
    readonly expectBody?: string;
    readonly setupClient?: (client: Client) => void;
  }

  interface Request {
    readonly method: 'GET' | 'POST';
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string | Buffer;
  }

  interface Client extends EventEmitter {
    /** The bytes of the request as they are written to the socket. */
    getRequestBuffer(): Buffer;
    /** They take turns. */
    setRequests(requests: readonly Request[]): void;
  }

  interface Result {
    readonly errors: number;
    readonly mismatches: number;
    readonly non2xx: number;
  }

  /** Emits `response` with the client, the status, the bytes of the answer and the milliseconds. */
  type Run = EventEmitter & PromiseLike<Result>;

  export default function autocannon(options: Options): Run;
}

declare module 'cli-progress' {
  interface BarOptions {
    readonly format?: string;
    readonly stream?: NodeJS.WritableStream;
    readonly hideCursor?: boolean;
    readonly clearOnComplete?: boolean;
  }

  export class SingleBar {
    constructor(options: BarOptions);
    start(total: number, startValue: number): void;
    update(value: number): void;
    stop(): void;
  }

  const cliProgress: { readonly SingleBar: typeof SingleBar };
  export default cliProgress;
}

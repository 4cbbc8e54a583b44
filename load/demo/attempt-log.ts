// Shows what becomes of one call while it happens: each attempt of the client at it, with its time.
import { stripVTControlCharacters } from 'node:util';
import { good, weak } from './style.ts';

const LABEL_COLUMNS = 12;

export class AttemptLog {
  /** What the call is that is watched; undefined while none is. */
  #what: string | undefined;
  #onSent = () => {};
  #startMs = 0;
  #attempts = 0;
  /** Of the attempts that fail one after another: a terminal shows it while it grows. */
  #line: string | undefined;

  /** Watches one call, from here until end(). @param what it is @returns resolves when its first attempt is sent */
  watch(what: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#what = what;
    this.#onSent = resolve;
    return promise;
  }

  end(): void {
    this.#what = undefined;
  }

  /** @param label a word, with a style */
  write(label: string, text: string): void {
    this.#endLine();
    console.log(this.#lineOf(label, text));
  }

  /** For the client: as the global fetch. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    if (this.#what === undefined) return fetch(input, init);
    this.#attempts++;
    if (this.#attempts === 1) {
      this.#startMs = performance.now();
      this.write('sent', this.#what);
      this.#onSent();
    }
    try {
      const answer = await fetch(input, init);
      if (this.#attempts > 1) this.write('sent again', `${this.#what}, with its key`);
      const isReplay = answer.headers.get('idempotency-replayed') === 'true';
      const how = isReplay ? 'it had been applied before the kill, and is not applied again' : 'it is applied now';
      this.write(answer.ok ? good('answered') : String(answer.status), answer.ok ? how : '');
      return answer;
    } catch (error) {
      if (this.#attempts === 1) this.write('no answer', 'the connection is lost: was it applied?');
      else this.#show(this.#lineOf('sent again', weak(`no answer to attempt ${this.#attempts}`)));
      throw error;
    }
  };

  #lineOf(label: string, text: string): string {
    const seconds = `${((performance.now() - this.#startMs) / 1_000).toFixed(2)} s`;
    const spaces = ' '.repeat(Math.max(1, LABEL_COLUMNS - stripVTControlCharacters(label).length));
    return `  ${seconds.padStart(8)}   ${label}${spaces}${text}`;
  }

  #show(line: string): void {
    this.#line = line;
    if (process.stdout.isTTY) process.stdout.write(`\r${line}`);
  }

  #endLine(): void {
    if (this.#line !== undefined) process.stdout.write(process.stdout.isTTY ? '\n' : `${this.#line}\n`);
    this.#line = undefined;
  }
}

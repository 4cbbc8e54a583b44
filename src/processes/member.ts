// In a process that serves with others: it answers the primary, and knows from it how the others are.
import type { Listening } from '../announce.ts';
import type { Snapshot } from '../metrics/exposition.ts';
import type { FromProcess, ToProcess } from './messages.ts';

export interface MemberParts {
  /** Why this process should get no requests. */
  problems(): readonly string[];
  /** Undefined if nothing is counted. */
  readonly metrics: { snapshot(): Promise<Snapshot> } | undefined;
}

export interface Orders {
  readonly reload: () => void;
  readonly close: () => void;
}

export class Member {
  /** Why others that take connections are not ready; those that are being replaced take none. */
  problemsOfOthers: readonly string[] = ['not all processes are started'];
  #parts: MemberParts | undefined;

  /** From now on the orders of the primary are followed. */
  listen({ reload, close }: Orders): void {
    process.on('message', (message: ToProcess) => {
      if (message.type === 'reload') reload();
      else if (message.type === 'close') close();
      else if (message.type === 'ask') this.#answer(message.problemsOfOthers);
      else void this.#measure(message.id);
    });
  }

  /** To be called when this process takes connections. */
  join(parts: MemberParts, listening: Listening): void {
    this.#parts = parts;
    void send({ type: 'listening', listening });
  }

  /** Resolves when the primary has been sent what was counted since it asked. To be called before the process ends. */
  leave(): Promise<void> {
    return this.#measure(undefined);
  }

  #answer(problemsOfOthers: readonly string[]): void {
    this.problemsOfOthers = problemsOfOthers;
    if (this.#parts) void send({ type: 'problems', problems: this.#parts.problems() });
  }

  async #measure(id: number | undefined): Promise<void> {
    const snapshot = await this.#parts?.metrics?.snapshot();
    if (snapshot) await send({ type: 'measured', id, snapshot });
  }
}

/** Never rejects: without the primary this process ends anyway. */
function send(message: FromProcess): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

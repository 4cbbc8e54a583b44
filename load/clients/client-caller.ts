// The caller of load-sessions.ts that a program would use: the JavaScript client.
import { Carryover, Tensor } from '../../src/client/index.ts';
import type { OpenCaller } from './session-callers.ts';

/** session.step(): each step with a key, and bound to the state before it. */
export const byClient: OpenCaller = async (url, inputs) => {
  const carryover = new Carryover(url);
  const sessions = await Promise.all(inputs.map(({ session }) => carryover.sessions.open(session)));
  return {
    async step(k) {
      const { x } = inputs[k]!;
      await sessions[k]!.step(new Tensor([1, x.length], x));
    },
    close: () => {},
  };
};

// A change of a session made by a function, in the order of SessionCompute.advance: tests of sessions need no
// engine.
import type { Call, Outcome } from '../../src/sessions/call.ts';
import { expectVersion } from '../../src/sessions/call.ts';
import type { Session, Stamp } from '../../src/sessions/session.ts';
import type { Sessions } from '../../src/sessions/sessions.ts';

/** Makes the session after some steps, by advanced(), and the answer. */
export type Steps<Value> = (
  session: Session,
  stamp: () => Stamp,
) => Promise<{ readonly after: Session; readonly value: Value }>;

export async function advance<Value>(
  sessions: Sessions,
  id: string,
  call: Call,
  compute: Steps<Value>,
): Promise<Outcome<Value>> {
  using change = await sessions.begin(id, call);
  return await change.retryOnConflict(async () => {
    const session = await change.load();
    if (change.replay) {
      const { before, stamp } = change.answeredSteps();
      const { after, value } = await compute(before, () => stamp);
      change.expectSameBits(after);
      return { value, replayed: true };
    }
    expectVersion(session, call);
    const { after, value } = await compute(session, () => change.stamp(session));
    await change.commitSteps(after);
    return { value, replayed: false };
  });
}

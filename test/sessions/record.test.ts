// Session records: what is written is read back, and damage is detected.
import { describe, expect, test } from 'vitest';
import type { CarryoverError } from '../../src/errors.ts';
import {
  decodeRecord,
  encodeChange,
  encodeSession,
  encodeTombstone,
} from '../../src/sessions/record.ts';
import { type Session, type SessionSpec, type Tombstone, etagOf, newSession } from '../../src/sessions/session.ts';
import { advanced, forked, rewound, withKeptAnswer } from '../../src/sessions/transitions.ts';
import { runs, sized } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAAAA';
const SPEC = { modelId: `sha256:${'0'.repeat(64)}`, N: 2, D: 1, H: 3, ttlMs: 60_000 };

/** Of two layers, of which one has c: six numbers for two rows, as one h of three. */
const STATES = [
  { H: 1, hasC: true },
  { H: 1, hasC: false },
];

const state = fc.float32Array({ minLength: 6, maxLength: 6 });
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('advance'), h: state, keyed: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reply'), text: fc.string() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rewind'), back: fc.nat(5) }) },
);
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never;

function apply(session: Session, step: Action, n: number): Session {
  const metadata = { nonce: `nonce-${n}`, expiresAtMs: n };
  if (step.kind === 'rewind') {
    return rewound(session, Math.max(0, session.t - (step as { back: number }).back), metadata) ?? session;
  }
  if (step.kind === 'reply') {
    const reply = { status: 200, headers: { etag: `"${n}"` }, body: (step as { text: string }).text };
    return withKeptAnswer(session, { kind: 'reply', key: `k${n}`, digest: `d${n}`, reply });
  }
  const { h, keyed } = step as { h: Float32Array; keyed: boolean };
  const after = advanced(session, { state: h, t: session.t + 1 }, metadata);
  const before = { version: session.version, t: session.t, state: session.state };
  // Records from before numerics had numbers have no provenance.
  const provenance = n % 3 === 0 ? undefined : { numerics: n, digest: `s${n}` };
  const call = { key: `k${n}`, digest: `d${n}` };
  const answer = { kind: 'advance', ...call, before, metadata, provenance } as const;
  return keyed ? withKeptAnswer(after, answer) : after;
}

/** A session whose states are written as their bits: toEqual() would not distinguish NaN payloads. */
const plain = (record: Session | Tombstone) => JSON.parse(JSON.stringify(record, bitsOfArrays));
const bitsOfArrays = (_: string, value: unknown) =>
  value instanceof Float32Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
    : value;

describe('records', () => {
  test('a session is read back from its changes, whatever happened to it', () => {
    fc.assert(
      fc.property(
        fc.nat(4),
        state,
        fc.constantFrom(undefined, STATES),
        fc.array(action, { maxLength: 150 }),
        (keep, h, states, actions) => {
          let session = newSession(ID, 'incarnat', { ...SPEC, states, keep, state: h }, 1_000);
          const stored = encodeSession(session);
          let head = stored.head;
          const slots = new Map(stored.slots);
          actions.forEach((step, n) => {
            const after = apply(session, step, n);
            const change = encodeChange(session, after);
            head = change.head;
            for (const [slot, frame] of change.slots) slots.set(slot, frame);
            session = after;
          });
          expect(plain(decodeRecord(ID, { head, slots }))).toEqual(plain(session));
          const fork = forked(session, ID, 'other', 5);
          expect(plain(decodeRecord(ID, encodeSession(fork)))).toEqual(plain(fork));
        },
      ),
      { numRuns: runs(300) },
    );
  });

  test('a change writes the head and at most two slots', () => {
    let session = newSession(ID, 'incarnat', { ...SPEC, keep: 64, state: new Float32Array(6) }, 0);
    for (let n = 0; n < 200; n++) {
      const after = apply(session, { kind: 'advance', h: Float32Array.from(session.state), keyed: true }, n);
      const { head, slots } = encodeChange(session, after);
      expect(slots.size).toBe(2);
      expect(head.length).toBeLessThan(24 + 1_024);
      session = after;
    }
  });

  test('the states of two lstm layers with H = 64 leave space for three records in a page of SQLite', () => {
    const states = [64, 64].map((H) => ({ H, hasC: true }));
    const session = newSession(ID, 'incarnat', { ...SPEC, N: 1, D: 64, H: 64, states, keep: 0, state: new Float32Array(256) }, Date.now(), 2);
    const after = { ...session, t: 10_000, version: 10_000 };
    // A page of 4,096 bytes has 8 of its own, and for each row 2 and some 45 of other columns.
    expect(encodeSession(after).head.length).toBeLessThan((4_096 - 8) / 3 - 47);
    expect(plain(decodeRecord(ID, encodeSession(after)))).toEqual(plain(after));
  });

  test('a record from before there were nonces is read, and its ETags are the same as then', () => {
    const without = { nonce: undefined, expiresAtMs: 9 };
    const first = { ...newSession(ID, 'incarnat', { ...SPEC, keep: 0, state: new Float32Array(6) }, 0), ...without };
    const after = advanced(first, { state: new Float32Array(6), t: 1 }, without);
    const before = { version: 0, t: 0, state: first.state };
    const answer = { kind: 'advance', key: 'k', digest: 'd', before, metadata: without } as const;
    const record = encodeSession(withKeptAnswer(after, answer));
    expect(Buffer.from(record.head).toString()).not.toContain('nonce');
    const read = decodeRecord(ID, record) as Session;
    expect(etagOf(read)).toBe('"incarnat.1"');
    expect(read.answers).toEqual([answer]);
  });

  test.each<[string, Partial<SessionSpec>]>([
    ['one h', { state: new Float32Array(6) }],
    ['several states', { states: [{ H: 3, hasC: true }, { H: 3, hasC: false }], state: new Float32Array(18) }],
  ])('the record of %s says which numerics made it; without that it is read, too', (_, sizes) => {
    const session = newSession(ID, 'incarnat', { ...SPEC, keep: 0, state: new Float32Array(6), ...sizes }, 0, 12);
    const read = decodeRecord(ID, encodeSession(session)) as Session;
    expect([read.numerics, read.states]).toEqual([12, session.states]);
    const { numerics: _numerics, ...without } = session;
    expect(decodeRecord(ID, encodeSession(without))).not.toHaveProperty('numerics');
  });

  test('a tombstone is read back', () => {
    const deletion = { key: 'k', digest: 'd' };
    const tombstone: Tombstone = { id: ID, reason: 'deleted', atMs: 7, t: 3, deletion };
    const record = { head: encodeTombstone(tombstone), slots: new Map() };
    expect(decodeRecord(ID, record)).toEqual(tombstone);
  });
});

describe('damage', () => {
  const session = Array.from({ length: 70 }).reduce<Session>(
    (before, _, n) => apply(before, { kind: 'advance', h: Float32Array.of(n, 1, 2, 3, 4, 5), keyed: true }, n),
    newSession(ID, 'incarnat', { ...SPEC, keep: 3, state: new Float32Array(6) }, 0),
  );
  const { head, slots } = encodeSession(session);
  const codeOf = (record: Parameters<typeof decodeRecord>[1], id = ID) => {
    try {
      decodeRecord(id, record);
      return undefined;
    } catch (error) {
      return (error as CarryoverError).code;
    }
  };

  test('a flipped bit is found, wherever it is', () => {
    expect(codeOf({ head, slots })).toBeUndefined();
    const flipped = (bytes: Uint8Array, bit: number) => {
      const copy = Uint8Array.from(bytes);
      copy[bit >> 3]! ^= 1 << (bit & 7);
      return copy;
    };
    const [first, step] = sized({ short: [Number(process.env.SEED ?? 0) % 8, 8], long: [0, 1] }) as [number, number];
    for (let bit = first; bit < head.length * 8; bit += step) {
      expect(codeOf({ head: flipped(head, bit), slots })).toBe('session_corrupt');
    }
    for (const [slot, frame] of slots) {
      for (let bit = 0; bit < frame.length * 8; bit += sized({ short: 41, long: 7 })) {
        const damaged = new Map([...slots, [slot, flipped(frame, bit)]]);
        expect(codeOf({ head, slots: damaged })).toBe('session_corrupt');
      }
    }
  });

  test('a record of another session, a misplaced, missing or truncated slot is found', () => {
    expect(codeOf({ head, slots }, 'BBBBBBBBBBBBBBBBBBBBBB')).toBe('session_corrupt');
    const swapped = new Map([...slots, [0, slots.get(1)!]]);
    expect(codeOf({ head, slots: swapped })).toBe('session_corrupt');
    const missing = new Map([...slots].filter(([slot]) => slot !== 5));
    expect(codeOf({ head, slots: missing })).toBe('session_corrupt');
    expect(codeOf({ head: head.subarray(0, 5), slots })).toBe('session_corrupt');
    expect(codeOf({ head: new Uint8Array(), slots })).toBe('session_corrupt');
  });
});

// The scripts (script.ts) of records, of their index, and of rates.
//
// A record is a hash with the fields r (number of changes), n (nonces), l (1 if live, 0 for a tombstone),
// m (model id), h (head), e (ms of its TTL in Redis; absent in records of earlier versions, which have none), and
// one field for each slot, named by its number. n holds the nonces of the last
// changes, the newest first. A change compares r and the newest nonce with its revision: a server that has
// lost changes comes to the same r again, with other content. A change that is sent a second time, because
// its reply was lost, finds its own nonce and is not made again.
//
// The comment above a script names its KEYS, then after the dot its ARGV, and its reply.
import { script } from './script.ts';

export const NONCE_BYTES = 8;
/** Nonces that a record keeps. A change that is repeated after more than 15 others is not recognised. */
const NONCES_MAX = 16;

/** The reply to a change of a record: it was made, now or when it was sent before. */
export const DONE = 1;
/** The record is not live or not at this revision, and the change was never made. */
export const REFUSED = 0;
/** The nonces do not reach back to the revision: the change may have been made when it was sent before. */
export const TOO_OLD = 2;

// Replies for a change that does not apply to the record as it is: it follows `revision` and has `nonce`, r
// and n are those of the record. The nonce that led to revision k is number r - k, counted from 0.
const OUTCOME = `
local function outcome(r, n, revision, nonce)
  if not r then return ${REFUSED} end
  local offset = (tonumber(r) - revision - 1) * ${NONCE_BYTES}
  if offset < 0 then return ${REFUSED} end
  local found = string.sub(n, offset + 1, offset + ${NONCE_BYTES})
  if found == nonce then return ${DONE} end
  if found == '' then return ${TOO_OLD} end
  return ${REFUSED}
end
`;
const IS_AT_REVISION = `l == '1' and r == ARGV[1] and string.sub(n, 1, ${NONCE_BYTES}) == ARGV[2]`;
const OTHER_NONCES = `string.sub(n, 1, ${(NONCES_MAX - 1) * NONCE_BYTES})`;

/** A TTL is set again when it has become shorter than it was by this, and not with each change. */
const RENEWED_AFTER_MS = 24 * 3_600_000;

/** record · nonce, model, head, TTL in ms, slot, bytes, slot, bytes, … → DONE, REFUSED or TOO_OLD */
export const CREATE = script(`${OUTCOME}
local r, n = unpack(redis.call('HMGET', KEYS[1], 'r', 'n'))
if r then return outcome(r, n, -1, ARGV[1]) end
redis.call('HSET', KEYS[1], 'r', '0', 'n', ARGV[1], 'l', '1', 'm', ARGV[2], 'h', ARGV[3], 'e', ARGV[4], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return ${DONE}
`);

/** record · revision, its nonce, revision + 1, nonce, head, slot, bytes, … → DONE, REFUSED or TOO_OLD */
export const CHANGE = script(`${OUTCOME}
local r, n, l, e = unpack(redis.call('HMGET', KEYS[1], 'r', 'n', 'l', 'e'))
if not (${IS_AT_REVISION}) then return outcome(r, n, tonumber(ARGV[1]), ARGV[4]) end
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'n', ARGV[4] .. ${OTHER_NONCES}, 'h', ARGV[5], unpack(ARGV, 6))
if e and redis.call('PTTL', KEYS[1]) < tonumber(e) - ${RENEWED_AFTER_MS} then redis.call('PEXPIRE', KEYS[1], e) end
return ${DONE}
`);

/**
 * record · revision, its nonce, revision + 1, nonce, head, ms until Redis itself erases the tombstone
 * → [DONE, REFUSED or TOO_OLD; model]
 *
 * DEL comes first: after it Redis accepts the HSET also when its memory is full, so that sessions can be
 * deleted then.
 */
export const WRITE_TOMBSTONE = script(`${OUTCOME}
local r, n, l, m = unpack(redis.call('HMGET', KEYS[1], 'r', 'n', 'l', 'm'))
if not (${IS_AT_REVISION}) then return {outcome(r, n, tonumber(ARGV[1]), ARGV[4]), m} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'n', ARGV[4] .. ${OTHER_NONCES}, 'l', '0', 'm', m, 'h', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {${DONE}, m}
`);

/** record · ms: the TTL of a live record that has one becomes as long as this, or as long as after a change */
export const RENEW = script(`
local l, e = unpack(redis.call('HMGET', KEYS[1], 'l', 'e'))
if l ~= '1' or not e then return 0 end
return redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(tonumber(e), tonumber(ARGV[1]))))
`);

/** The reply of ERASE: the record is live and stays. */
export const LIVE = 0;
/** The tombstone was erased. */
export const ERASED = 1;
/** There was neither. */
export const ABSENT = 2;

/** secret · new secret → the secret that is stored, which is the new one if there was none */
export const SECRET = script(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
`);

/**
 * rate · tokens a ms, burst, debt, amount → [granted, ms to wait, tokens left], as decimals
 *
 * The hash has the tokens (t) as of a time (at) of the server; without it there is all that there can be.
 */
export const TAKE_TOKENS = script(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local rate, burst, debt, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local t, at = unpack(redis.call('HMGET', KEYS[1], 't', 'at'))
local tokens = burst
if t then tokens = math.min(burst, tonumber(t) + math.max(0, now - tonumber(at)) * rate) end
tokens = tokens - debt
local granted, wait = 0, 0
if tokens >= 1 then
  granted = math.min(amount, math.floor(tokens))
  tokens = tokens - granted
else
  wait = (1 - tokens) / rate
end
redis.call('HSET', KEYS[1], 't', string.format('%.6f', tokens), 'at', string.format('%.3f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(1e12, (burst - tokens) / rate + 1000)))
return {string.format('%.0f', granted), string.format('%.3f', wait), string.format('%.6f', tokens)}
`);

/** record → LIVE, ERASED or ABSENT */
export const ERASE = script(`
if redis.call('HGET', KEYS[1], 'l') == '1' then return ${LIVE} end
return redis.call('DEL', KEYS[1]) == 1 and ${ERASED} or ${ABSENT}
`);

/**
 * due, ids · id, dueAtMs, entry → [dueAtMs of before, 1 if the entry is new]
 *
 * An id that is due later already stays so.
 */
export const INDEX = script(`
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return {before, redis.call('ZADD', KEYS[2], 'NX', 0, ARGV[3])}
`);

/** due · id, dueAtMs. ZREM comes first: Redis accepts it, and what follows, also when its memory is full. */
export const POSTPONE = script(`
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
`);

/** due, ids · id, dueAtMs, entry: sets when it is due, and removes the entry from the list. */
export const UNLIST = script(`
redis.call('ZREM', KEYS[2], ARGV[3])
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
`);

/** due, ids · id, entry, … : removes those of them that are there. */
export const DROP = script(`
redis.call('ZREM', KEYS[1], ARGV[1])
for k = 2, #ARGV do redis.call('ZREM', KEYS[2], ARGV[k]) end
return 1
`);

/** pins · id */
export const UNPIN = script(`return redis.call('SREM', KEYS[1], ARGV[1])`);

/** file, pins · id → [1 if the model is there, 1 if the pin is new] */
export const PIN = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0} end
return {1, redis.call('SADD', KEYS[2], ARGV[1])}
`);

// The Lua scripts that Redis executes. A script is atomic, and all its keys are on one node of a cluster:
// their names have the same hash tag, the part in braces.
//
// A record is a hash with the fields r (number of changes), n (nonces), l (1 if live, 0 for a tombstone),
// m (model id), h (head), e (ms of its TTL in Redis; absent in records of earlier versions, which have none), and
// one field for each slot, named by its number. n holds the nonces of the last
// changes, the newest first. A change compares r and the newest nonce with its revision: a server that has
// lost changes comes to the same r again, with other content. A change that is sent a second time, because
// its reply was lost, finds its own nonce and is not made again.
//
// The comment above a script names its KEYS, then after the dot its ARGV, and its reply.
import { createHash } from 'node:crypto';

export interface Script {
  readonly source: string;
  /** SHA-1 of the source in hex, by which EVALSHA names it. */
  readonly sha: string;
}

export const NONCE_BYTES = 8;
/** Nonces that a record keeps. A change that is repeated after more than 15 others is not recognised. */
const NONCES_MAX = 16;

/** The reply to a change of a record: it was made, now or when it was sent before. */
export const DONE = 1;
/** The record is not live or not at this revision, and the change was never made. */
export const REFUSED = 0;
/** The nonces do not reach back to the revision: the change may have been made when it was sent before. */
export const TOO_OLD = 2;

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

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

/** upload · chunk number, bytes, ms after which an upload that has ceased is erased */
export const UPLOAD = script(`
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
`);

/**
 * file, upload · number of chunks, createdAtMs, incarnation, 1 if it is kept
 * → [createdAtMs, incarnation] of the file, or 0 if the upload is incomplete
 *
 * The upload becomes the file, unless there is one. The field k is '0' in a file that is not kept, and absent
 * from others.
 */
export const PUT_MODEL = script(`
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('DEL', KEYS[2])
elseif redis.call('HLEN', KEYS[2]) ~= tonumber(ARGV[1]) then
  return 0
else
  if ARGV[1] ~= '0' then
    redis.call('RENAME', KEYS[2], KEYS[1])
    redis.call('PERSIST', KEYS[1])
  end
  redis.call('HSET', KEYS[1], 'n', ARGV[1], 'at', ARGV[2], 'inc', ARGV[3])
  if ARGV[4] ~= '1' then redis.call('HSET', KEYS[1], 'k', '0') end
end
if ARGV[4] == '1' then redis.call('HDEL', KEYS[1], 'k') end
return redis.call('HMGET', KEYS[1], 'at', 'inc')
`);

/** file → 1 if it is there: it is kept from now on */
export const KEEP_MODEL = script(`
redis.call('HDEL', KEYS[1], 'k')
return redis.call('EXISTS', KEYS[1])
`);

/** file: it is not kept from now on */
export const UNKEEP_MODEL = script(`
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'k', '0') end
return 0
`);

/** file, pins → 0 if the model is pinned, else the incarnation that was removed, or '' */
export const REMOVE_MODEL = script(`
if redis.call('SCARD', KEYS[2]) > 0 then return 0 end
local inc = redis.call('HGET', KEYS[1], 'inc') or ''
redis.call('DEL', KEYS[1])
return inc
`);

/** file, pins → as REMOVE_MODEL, and 0 also if the model is kept */
export const COLLECT_MODEL = script(`
local inc, k = unpack(redis.call('HMGET', KEYS[1], 'inc', 'k'))
if redis.call('SCARD', KEYS[2]) > 0 or (inc and k ~= '0') then return 0 end
redis.call('DEL', KEYS[1])
return inc or ''
`);

// The list of models has three keys: revision, models and names (keys.ts). The revision counts changes in its upper
// digits and holds a random number of the last change, ARGV[1], in its lower ones: a server that has lost changes comes
// to the same count again, but to another revision. Each of the following scripts replies by how much it has increased
// the revision.

/** The random number of a change is below this. The count has 33 of the 53 bits of a float64. */
export const RANDOMS = 2 ** 20;

const INCREASE_REVISION = `
local function increase_revision(key, random)
  local before = tonumber(redis.call('GET', key) or '0')
  local after = (math.floor(before / ${RANDOMS}) + 1) * ${RANDOMS} + tonumber(random)
  local digits = string.format('%.0f', after)
  redis.call('SET', key, digits)
  return after - before, digits
end
`;

/** revision, models · random, id, incarnation, createdAtMs */
export const LIST_MODEL = script(`${INCREASE_REVISION}
local entry = redis.call('HGET', KEYS[2], ARGV[2])
if entry and string.sub(entry, 1, #ARGV[3] + 1) == ARGV[3] .. ':' then return 0 end
local increase, order = increase_revision(KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ':' .. ARGV[4] .. ':' .. order)
return increase
`);

/**
 * revision, models, names · random, id, incarnation, …
 *
 * Removes the model and its names, unless it has been put again since, with another incarnation.
 */
export const UNLIST_MODEL = script(`${INCREASE_REVISION}
local entry = redis.call('HGET', KEYS[2], ARGV[2])
local is_same = false
for k = 3, #ARGV do
  is_same = is_same or (entry and string.sub(entry, 1, #ARGV[k] + 1) == ARGV[k] .. ':')
end
if not is_same then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
local names = redis.call('HGETALL', KEYS[3])
for k = 1, #names, 2 do
  if string.match(names[k + 1], '^%d+:(.*)$') == ARGV[2] then redis.call('HDEL', KEYS[3], names[k]) end
end
local increase = increase_revision(KEYS[1], ARGV[1])
return increase
`);

/** revision, models, names · random, name, id. Replies -1 if there is no such model. */
export const POINT = script(`${INCREASE_REVISION}
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then return -1 end
local entry = redis.call('HGET', KEYS[3], ARGV[2])
if entry and string.match(entry, '^%d+:(.*)$') == ARGV[3] then return 0 end
local increase, new_order = increase_revision(KEYS[1], ARGV[1])
local order = entry and string.match(entry, '^%d+') or new_order
redis.call('HSET', KEYS[3], ARGV[2], order .. ':' .. ARGV[3])
return increase
`);

/**
 * revision, models, names · random, id, name, …
 *
 * Removes those of the names that point to the model. Replies also with 1 if another name does, else 0.
 */
export const UNPOINT = script(`${INCREASE_REVISION}
local function target_of(entry) return entry and string.match(entry, '^%d+:(.*)$') end
local increase = 0
for k = 3, #ARGV do
  if target_of(redis.call('HGET', KEYS[3], ARGV[k])) == ARGV[2] then
    redis.call('HDEL', KEYS[3], ARGV[k])
    if increase == 0 then increase = increase_revision(KEYS[1], ARGV[1]) end
  end
end
local entries = redis.call('HVALS', KEYS[3])
for k = 1, #entries do
  if target_of(entries[k]) == ARGV[2] then return {increase, 1} end
end
return {increase, 0}
`);

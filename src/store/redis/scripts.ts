// What happens inside Redis. A script runs as a whole, beside nothing else, and all keys of one script
// are on one node: their names share what stands in braces.
//
// A record is a hash: r revision · n nonces · l 1 if live, 0 for a tombstone · m model id · h head ·
// and its slots by their numbers. n holds the nonces of its last changes, the newest first. The newest
// is compared besides r: a server that has lost changes comes to the same r again, with other content.
// And a change that comes a second time, because its answer was lost, finds its own and is not made again.
import { createHash } from 'node:crypto';

export interface Script {
  readonly text: string;
  /** By this name EVALSHA calls it. */
  readonly sha: string;
}

export const NONCE_BYTES = 8;
/** Other changes that may come between one and its repetition: beyond it the nonce is forgotten. */
const NONCES_MAX = 16;

/** What a change of a record comes to. */
export const DONE = 1;
/** It is not live or not at this revision, and this change did not happen. */
export const REFUSED = 0;
/** It has gone on so far that nobody can tell whether this change was one of those. */
export const PASSED = 2;

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

// The outcome of the change after `revision` with `nonce`, if it cannot be made (any more). The nonce
// that led to revision k is at place r - k.
const OUTCOME = `
local function outcome(r, n, revision, nonce)
  if not r then return ${REFUSED} end
  local place = (tonumber(r) - revision - 1) * ${NONCE_BYTES}
  if place < 0 then return ${REFUSED} end
  local had = string.sub(n, place + 1, place + ${NONCE_BYTES})
  if had == nonce then return ${DONE} end
  if had == '' then return ${PASSED} end
  return ${REFUSED}
end
`;
const FOLLOWS = `l == '1' and r == ARGV[1] and string.sub(n, 1, ${NONCE_BYTES}) == ARGV[2]`;
const PUSHED = `string.sub(n, 1, ${(NONCES_MAX - 1) * NONCE_BYTES})`;

/** record · nonce, model, head, slot, bytes, slot, bytes, … */
export const CREATE = script(`${OUTCOME}
local r, n = unpack(redis.call('HMGET', KEYS[1], 'r', 'n'))
if r then return outcome(r, n, -1, ARGV[1]) end
redis.call('HSET', KEYS[1], 'r', '0', 'n', ARGV[1], 'l', '1', 'm', ARGV[2], 'h', ARGV[3], unpack(ARGV, 4))
return ${DONE}
`);

/** record · revision, its nonce, revision + 1, nonce, head, slot, bytes, … */
export const CHANGE = script(`${OUTCOME}
local r, n, l = unpack(redis.call('HMGET', KEYS[1], 'r', 'n', 'l'))
if not (${FOLLOWS}) then return outcome(r, n, tonumber(ARGV[1]), ARGV[4]) end
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'n', ARGV[4] .. ${PUSHED}, 'h', ARGV[5], unpack(ARGV, 6))
return ${DONE}
`);

/**
 * record · revision, its nonce, revision + 1, nonce, head, ms until Redis itself erases it.
 * Answers [outcome, model].
 *
 * DEL comes first: behind it HSET is allowed also when the memory is full, so that sessions can be
 * deleted then.
 */
export const WRITE_TOMBSTONE = script(`${OUTCOME}
local r, n, l, m = unpack(redis.call('HMGET', KEYS[1], 'r', 'n', 'l', 'm'))
if not (${FOLLOWS}) then return {outcome(r, n, tonumber(ARGV[1]), ARGV[4]), m} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'r', ARGV[3], 'n', ARGV[4] .. ${PUSHED}, 'l', '0', 'm', m, 'h', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {${DONE}, m}
`);

/** What ERASE finds: a live record, which it leaves; a tombstone, which it erases; nothing. */
export const LIVE = 0;
export const ERASED = 1;
export const ABSENT = 2;

/** secret · new text. Answers the text that is there, or else the new one. */
export const SECRET = script(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
`);

/** record */
export const ERASE = script(`
if redis.call('HGET', KEYS[1], 'l') == '1' then return ${LIVE} end
return redis.call('DEL', KEYS[1]) == 1 and ${ERASED} or ${ABSENT}
`);

/**
 * due, ids · id, when, entry. It is due then, or later if it was. Answers when it was due before, and
 * whether the entry is new.
 */
export const INDEX = script(`
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
return {before, redis.call('ZADD', KEYS[2], 'NX', 0, ARGV[3])}
`);

/** due · id, when. ZREM first: allowed when the memory is full, and so is what follows it. */
export const POSTPONE = script(`
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
`);

/** due, ids · id, when, entry: it is due then, and listed no longer. */
export const UNLIST = script(`
redis.call('ZREM', KEYS[2], ARGV[3])
return redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
`);

/** due, ids · id, entry, … : what of these there is goes. */
export const DROP = script(`
redis.call('ZREM', KEYS[1], ARGV[1])
for k = 2, #ARGV do redis.call('ZREM', KEYS[2], ARGV[k]) end
return 1
`);

/** pins · id */
export const UNPIN = script(`return redis.call('SREM', KEYS[1], ARGV[1])`);

/** file, pins · id. Answers whether the model is there, and whether the pin is new. */
export const PIN = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, 0} end
return {1, redis.call('SADD', KEYS[2], ARGV[1])}
`);

/** upload · chunk number, bytes, lifetime in ms of an upload that nobody goes on with */
export const UPLOAD = script(`
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
`);

/**
 * file, upload · number of chunks, createdAtMs, incarnation, 1 if it is kept. The upload becomes the file,
 * unless there is one; answers with createdAtMs and incarnation of the file, 0 if the upload is not whole.
 * Field k is '0' in a file that is not kept; others have none.
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

/** file: is kept from now on. Answers whether it is there. */
export const KEEP_MODEL = script(`
redis.call('HDEL', KEYS[1], 'k')
return redis.call('EXISTS', KEYS[1])
`);

/** file, pins. Answers 0 if it is pinned, else with the incarnation that was removed, '' if none. */
export const REMOVE_MODEL = script(`
if redis.call('SCARD', KEYS[2]) > 0 then return 0 end
local inc = redis.call('HGET', KEYS[1], 'inc') or ''
redis.call('DEL', KEYS[1])
return inc
`);

/** The same, and 0 also if it is there and kept. */
export const COLLECT_MODEL = script(`
local inc, k = unpack(redis.call('HMGET', KEYS[1], 'inc', 'k'))
if redis.call('SCARD', KEYS[2]) > 0 or (inc and k ~= '0') then return 0 end
redis.call('DEL', KEYS[1])
return inc or ''
`);

// The list of models: revision · models (id → incarnation:createdAtMs:order) · names (name → order:id).
// The revision is a count of changes and, in its lower digits, a random number of the last one, ARGV[1]: a
// server that has lost changes comes to the same count again, but to another revision.
// Each answers with by how much it moved the revision.

/** The random number of a change is below this. The count has 33 of the 53 bits of a float64. */
export const RANDOMS = 2 ** 20;

const MOVE = `
local function move(key, random)
  local before = tonumber(redis.call('GET', key) or '0')
  local after = (math.floor(before / ${RANDOMS}) + 1) * ${RANDOMS} + tonumber(random)
  local text = string.format('%.0f', after)
  redis.call('SET', key, text)
  return after - before, text
end
`;

/** revision, models · random, id, incarnation, createdAtMs */
export const LIST_MODEL = script(`${MOVE}
local had = redis.call('HGET', KEYS[2], ARGV[2])
if had and string.sub(had, 1, #ARGV[3] + 1) == ARGV[3] .. ':' then return 0 end
local moved, order = move(KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ':' .. ARGV[4] .. ':' .. order)
return moved
`);

/** revision, models, names · random, id, incarnation, … : unless it has been put again since. */
export const UNLIST_MODEL = script(`${MOVE}
local had = redis.call('HGET', KEYS[2], ARGV[2])
local is_same = false
for k = 3, #ARGV do
  is_same = is_same or (had and string.sub(had, 1, #ARGV[k] + 1) == ARGV[k] .. ':')
end
if not is_same then return 0 end
redis.call('HDEL', KEYS[2], ARGV[2])
local names = redis.call('HGETALL', KEYS[3])
for k = 1, #names, 2 do
  if string.match(names[k + 1], '^%d+:(.*)$') == ARGV[2] then redis.call('HDEL', KEYS[3], names[k]) end
end
local moved = move(KEYS[1], ARGV[1])
return moved
`);

/** revision, models, names · random, name, id. Answers -1 if there is no such model. */
export const POINT = script(`${MOVE}
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 0 then return -1 end
local had = redis.call('HGET', KEYS[3], ARGV[2])
if had and string.match(had, '^%d+:(.*)$') == ARGV[3] then return 0 end
local moved, place = move(KEYS[1], ARGV[1])
local order = had and string.match(had, '^%d+') or place
redis.call('HSET', KEYS[3], ARGV[2], order .. ':' .. ARGV[3])
return moved
`);

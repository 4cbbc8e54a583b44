// The scripts (script.ts) of model files, and of the list of models.
//
// The comment above a script names its KEYS, then after the dot its ARGV, and its reply.
import { script } from './script.ts';

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

-- Unique keys: who has one, and when it is free; the decisions are those of unique.py. Comes between store.lua and what uses it.
--
-- A hash of ours has for each key that was taken one text: `scope until_us id`, -1 for no time. A sorted set says when sweep looks
-- whether a key is free and can be forgotten.

local UNIQUE, UNIQUE_LOOK = own .. 'unique', own .. 'unique-look'
local LOOK_AGAIN_US = 3600 * 1000000

local function hold_from_text(text)
  local scope, until_us, id = text:match('^(%a+) (%-?%d+) (.*)$')
  return {scope = scope, until_us = tonumber(until_us), id = id}
end

local function has_started(run)
  return run.worker ~= '' or run.lost > 0 or run.outcome or run.generation > 0 or (run.generation == 0 and run.attempt > 0)
end

local function is_open(run)
  return not run.outcome or goes_on(run.outcome)
end

local function is_free(hold)
  local is_over = hold.until_us >= 0 and hold.until_us <= now
  if hold.scope == 'time' then return is_over end
  local run = run_of(hold.id)
  if not run.exists or not is_open(run) then return true end
  if has_started(run) then return hold.scope == 'pending' end
  return is_over
end

local function keep_hold(unique)
  local until_us, look_us = unique.until_us, unique.look_us
  -- seconds count by the clock that judges them
  if unique.scope == 'time' then until_us, look_us = now + unique.lasts_us, now + unique.lasts_us end
  redis.call('HSET', UNIQUE, unique.key, string.format('%s %.0f %s', unique.scope, until_us, unique.id))
  redis.call('ZADD', UNIQUE_LOOK, look_us, unique.key)
  redis.call('SET', own .. 'run:' .. unique.id, EMPTY_RUN, 'NX', 'EX', unique.known_seconds)
  if runs[unique.id] then runs[unique.id].exists = true end
end

-- Takes the key, or returns the id of the task that has it. What is revoked for it gets a document among `documents`.
local function take_key(unique, documents)
  local text = redis.call('HGET', UNIQUE, unique.key)
  local hold = text and hold_from_text(text)
  if hold and not is_free(hold) then
    if hold.id == unique.id then return nil end
    if not unique.document or not run_of(hold.id).exists then return hold.id end
    local document = unique.document:gsub('"\\u0001id\\u0001"', function() return cjson.encode(hold.id) end)
    if not revoke_unclaimed(hold.id, document, documents) then return hold.id end
    remember_revoked(hold.id, 0)
  end
  keep_hold(unique)
  return nil
end

-- Forget keys that are free; true if there may be more.
local function forget_free_keys()
  local keys = redis.call('ZRANGEBYSCORE', UNIQUE_LOOK, '-inf', now, 'LIMIT', 0, SLICE)
  if #keys == 0 then return false end
  local holds, ids = {}, {}
  for i, text in ipairs(redis.call('HMGET', UNIQUE, unpack(keys))) do
    holds[i] = text and hold_from_text(text)
    if text then ids[#ids + 1] = holds[i].id end
  end
  read_runs(ids)
  local free, taken = {}, {}
  for i, key in ipairs(keys) do
    if not holds[i] or is_free(holds[i]) then
      free[#free + 1] = key
    else
      taken[#taken + 1] = now + LOOK_AGAIN_US
      taken[#taken + 1] = key
    end
  end
  sliced('HDEL', UNIQUE, free)
  sliced('ZREM', UNIQUE_LOOK, free)
  sliced('ZADD', UNIQUE_LOOK, taken)
  return #keys == SLICE
end

-- Unique keys: who has one, and when it is free; the decisions are those of unique.py. Comes after revoked.lua.
--
-- A hash of ours has for each key that was taken one text: `scope until_us id`, -1 for no time. A sorted set says when sweep looks
-- whether a key is free and can be forgotten.

local unique_keys = {holds = own .. 'unique', look = own .. 'unique-look', LOOK_AGAIN_US = 3600 * 1000000}

function unique_keys.hold_from_text(text)
  local scope, until_us, id = text:match('^(%a+) (%-?%d+) (.*)$')
  return {scope = scope, until_us = tonumber(until_us), id = id}
end

function unique_keys.has_started(run)
  return run.worker ~= '' or run.lost > 0 or run.outcome or run.generation > 0 or (run.generation == 0 and run.attempt > 0)
end

function unique_keys.is_open(run)
  return not run.outcome or runs.goes_on(run.outcome)
end

function unique_keys.is_free(hold)
  local is_over = hold.until_us >= 0 and hold.until_us <= now
  if hold.scope == 'time' then return is_over end
  local run = runs.of(hold.id)
  if not run.exists or not unique_keys.is_open(run) then return true end
  if unique_keys.has_started(run) then return hold.scope == 'pending' end
  return is_over
end

function unique_keys.keep(unique)
  local until_us, look_us = unique.until_us, unique.look_us
  -- seconds count by the clock that judges them
  if unique.scope == 'time' then until_us, look_us = now + unique.lasts_us, now + unique.lasts_us end
  redis.call('HSET', unique_keys.holds, unique.key, string.format('%s %.0f %s', unique.scope, until_us, unique.id))
  redis.call('ZADD', unique_keys.look, look_us, unique.key)
  runs.know(unique.id, unique.known_seconds)
  if runs.by_id[unique.id] then runs.by_id[unique.id].exists = true end
end

-- Takes the key, or returns the id of the task that has it.
function unique_keys.take(unique)
  local text = redis.call('HGET', unique_keys.holds, unique.key)
  local hold = text and unique_keys.hold_from_text(text)
  if hold and not unique_keys.is_free(hold) then
    if hold.id == unique.id then return nil end
    if not unique.document or not runs.of(hold.id).exists then return hold.id end
    local document = unique.document:gsub('"\\u0001id\\u0001"', function() return cjson.encode(hold.id) end)
    if not revoked.settle(hold.id, document) then return hold.id end
    revoked.remember(hold.id, 0)
  end
  unique_keys.keep(unique)
  return nil
end

-- Forget keys that are free; true if there may be more.
function unique_keys.forget_free()
  local names = redis.call('ZRANGEBYSCORE', unique_keys.look, '-inf', now, 'LIMIT', 0, SLICE)
  if #names == 0 then return false end
  local holds, ids = {}, {}
  for i, text in ipairs(redis.call('HMGET', unique_keys.holds, unpack(names))) do
    holds[i] = text and unique_keys.hold_from_text(text)
    if text then ids[#ids + 1] = holds[i].id end
  end
  runs.read(ids)
  local free, taken = {}, {}
  for i, name in ipairs(names) do
    if not holds[i] or unique_keys.is_free(holds[i]) then
      free[#free + 1] = name
    else
      taken[#taken + 1] = now + unique_keys.LOOK_AGAIN_US
      taken[#taken + 1] = name
    end
  end
  sliced('HDEL', unique_keys.holds, free)
  sliced('ZREM', unique_keys.look, free)
  sliced('ZADD', unique_keys.look, taken)
  return #names == SLICE
end

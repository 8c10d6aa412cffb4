-- Lanes: whether one more task of a limit_key may start, and who is woken when it may; the decisions are those of lane.py. Comes after
-- runs.lua.
--
-- A hash of ours for each key: `starts` (times, the last one last), `turn`, `until`, `concurrency`, and `slots`, a line `generation attempt id`
-- for each run that has one. A sorted set for each key has the line of those that wait for a slot, and another one the keys that have a line.

local lanes = {
  lines = own .. 'limit-lines',
  LONGEST_US = 300 * 1000000,
  KEPT_SECONDS = 60,
  RUNNING_KEPT_SECONDS = 30 * 86400,
  MOST_STARTS = 100,
}

function lanes.of(key)
  local lane = {key = own .. 'limit:' .. key, name = key, line = own .. 'limit-line:' .. key, starts = {}, slots = {}}
  local f = redis.call('HMGET', lane.key, 'starts', 'turn', 'until', 'concurrency', 'slots')
  for us in (f[1] or ''):gmatch('%d+') do lane.starts[#lane.starts + 1] = tonumber(us) end
  lane.turn, lane.until_us, lane.concurrency = tonumber(f[2]) or 0, tonumber(f[3]) or 0, tonumber(f[4])
  local found, ids = {}, {}
  for generation, attempt, id in (f[5] or ''):gmatch('(%d+) (%d+) ([^\n]*)\n') do
    found[#found + 1] = {generation = tonumber(generation), attempt = tonumber(attempt), id = id}
    ids[#ids + 1] = id
  end
  runs.read(ids)
  for _, slot in ipairs(found) do
    local run = runs.of(slot.id)
    if run.worker ~= '' and not run.outcome and run.lease_us > now and run.generation == slot.generation
      and run.attempt == slot.attempt then
      lane.slots[#lane.slots + 1] = slot
    end
  end
  return lane
end

function lanes.write(lane)
  local starts, slots = {}, {}
  for i, us in ipairs(lane.starts) do starts[i] = string.format('%.0f', us) end
  for i, slot in ipairs(lane.slots) do slots[i] = string.format('%.0f %.0f %s\n', slot.generation, slot.attempt, slot.id) end
  redis.call('HSET', lane.key, 'starts', table.concat(starts, ' '), 'turn', lane.turn, 'until', lane.until_us, 'slots',
    table.concat(slots))
  if lane.concurrency then
    redis.call('HSET', lane.key, 'concurrency', lane.concurrency)
  else
    redis.call('HDEL', lane.key, 'concurrency')
  end
  local seconds = math.ceil(math.max(lane.until_us - now, 0) / 1000000) + lanes.KEPT_SECONDS
  redis.call('EXPIRE', lane.key, #lane.slots > 0 and lanes.RUNNING_KEPT_SECONDS or seconds)
end

function lanes.stand_in_line(lane, id)
  redis.call('ZADD', lane.line, 'NX', now, id)
  redis.call('SADD', lanes.lines, lane.name)
end

function lanes.leave_line(lane, id)
  redis.call('ZREM', lane.line, id)
end

-- Microseconds to wait and whether its turn is then; nil if it may start, and did.
function lanes.at_rate(lane, ask)
  local count, window_us = ask.count, ask.window_us
  local free_us = now
  if #lane.starts >= count then free_us = lane.starts[#lane.starts - count + 1] + window_us end
  if free_us <= now and (ask.has_turn or lane.turn <= now) then
    lane.starts[#lane.starts + 1] = now
    if #lane.starts > lanes.MOST_STARTS then table.remove(lane.starts, 1) end
    lane.until_us = math.max(lane.until_us, now + window_us)
    return nil
  end
  local turn = math.max(free_us, lane.turn + math.max(1, math.floor(window_us / count)))
  if turn > now + lanes.LONGEST_US then return lanes.LONGEST_US, false end
  lane.turn, lane.until_us = turn, math.max(lane.until_us, turn)
  return turn - now, true
end

-- As lanes.at_rate, of all limits of a key; of its concurrency, too, whose line it joins where it must.
function lanes.admit(ask)
  local lane, others = lanes.of(ask.key), {}
  for _, slot in ipairs(lane.slots) do
    if slot.id ~= ask.id or slot.generation ~= ask.generation or slot.attempt ~= ask.attempt then others[#others + 1] = slot end
  end
  lane.concurrency = ask.concurrency
  local wait_us, has_turn
  if ask.concurrency and #others >= ask.concurrency then
    wait_us, has_turn = lanes.LONGEST_US, false
    lanes.stand_in_line(lane, ask.id)
  elseif ask.count then
    wait_us, has_turn = lanes.at_rate(lane, ask)
  end
  if not wait_us then
    if ask.concurrency then
      others[#others + 1] = {id = ask.id, generation = ask.generation, attempt = ask.attempt}
      lane.slots = others
    end
    lanes.leave_line(lane, ask.id)
  end
  lanes.write(lane)
  return wait_us, has_turn
end

-- Let those that come first in line ask again, one for each slot that is free, and at most so many.
function lanes.wake(key, most)
  local lane = lanes.of(key)
  local count = math.min(most, lane.concurrency and lane.concurrency - #lane.slots or 1)
  while count > 0 do
    local id = redis.call('ZPOPMIN', lane.line)[1]
    if not id then break end
    if timers.hasten(id) then count = count - 1 end
  end
  if redis.call('EXISTS', lane.key) == 1 then lanes.write(lane) end
end

-- Some at a time: those for which nobody waits are forgotten.
function lanes.wake_all()
  for _, key in ipairs(redis.call('SRANDMEMBER', lanes.lines, 200)) do
    if redis.call('EXISTS', own .. 'limit-line:' .. key) == 0 then
      redis.call('SREM', lanes.lines, key)
    else
      lanes.wake(key, SLICE)
    end
  end
end

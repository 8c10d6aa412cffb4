-- Joins: a hash of each with its record, and a hash of its parts by their index (decisions K3, K4). Comes after effects.lua.
--
-- A negative size waits for no other part, and tells what it was: UNSEALED below zero, if nothing was told.

local joins = {by_id = {}, is_touched = {}, UNSEALED = 2147483647, FIRST_ADDED = 1073741824}

function joins.of(id)
  local join = joins.by_id[id]
  if join then return join end
  local key = own .. 'join:' .. id
  local f = redis.call('HMGET', key, 'size', 'closed', 'record', 'generation', 'added')
  join = {key = key, parts = own .. 'part:' .. id, size = tonumber(f[1]), closed = f[2], exists = f[3]}
  join.generation = tonumber(f[4]) or 0
  -- the keys of what it was grown by (growth.py), each with its number from 0; `size` counts them, too
  join.added, join.added_count = {}, 0
  for added in (f[5] or ''):gmatch('%S+') do
    join.added[added], join.added_count = join.added_count, join.added_count + 1
  end
  joins.by_id[id] = join
  return join
end

function joins.touch(id)
  if not joins.is_touched[id] then
    joins.is_touched[id] = true
    sending.joins[#sending.joins + 1] = id
  end
end

function joins.open(id, record, message, size, lease_us, generation)
  local join = joins.of(id)
  if not join.exists then
    redis.call('HSET', join.key, 'record', record, 'message', message)
    join.exists, join.generation = record, generation
    if generation > 0 then redis.call('HSET', join.key, 'generation', generation) end
    if size >= 0 then
      redis.call('HSET', join.key, 'size', size)
      join.size = size
    end
  end
  if not join.size and not join.closed and lease_us >= 0 then
    redis.call('HSET', join.key, 'deadline_us', now + lease_us)
    redis.call('ZADD', keys.unsealed, now + lease_us, id)
  end
end

function joins.set_size(join, id, size)
  redis.call('HSET', join.key, 'size', size)
  redis.call('HDEL', join.key, 'deadline_us')
  redis.call('ZREM', keys.unsealed, id)
  join.size = size
end

function joins.seal(id, size)
  local join = joins.of(id)
  if not join.exists or (join.size and join.size ~= -joins.UNSEALED) then return end
  local whole = size + join.added_count
  joins.set_size(join, id, join.size and -whole or whole)
  joins.touch(id)
end

-- False if the join wants no other part.
function joins.grow(id, added)
  local join = joins.of(id)
  if join.added[added] then return true end
  if not join.exists or join.closed or (join.size or 0) < 0 then return false end
  join.added[added], join.added_count = join.added_count, join.added_count + 1
  redis.call('HSET', join.key, 'added', (redis.call('HGET', join.key, 'added') or '') .. added .. ' ')
  if join.size then join.size = redis.call('HINCRBY', join.key, 'size', 1) end
  return true
end

-- A part whose join is gone without a tombstone is kept as a dead letter. With `completes` the join wants no other.
function joins.add_part(id, index, text, dead, completes, added)
  local join = joins.of(id)
  if not join.exists and not join.closed then
    bury(dead)
    return
  end
  if added ~= '' then
    if not join.added[added] then return end
    index = joins.FIRST_ADDED + join.added[added]
  end
  -- one that did not wait for it may be opened again
  if join.closed and (join.size or 0) >= 0 then return end
  redis.call('HSETNX', join.parts, index, text)
  if join.closed then
    expire(join.parts)
    return
  end
  if completes then joins.set_size(join, id, -math.abs(join.size or joins.UNSEALED)) end
  joins.touch(id)
end

-- True if the effects of a transition that closes a join are to be applied: if it was open, in this generation (-1: in any).
function joins.close(closing)
  local join = joins.of(closing.id)
  if not join.exists or join.closed then return false end
  if closing.generation >= 0 and closing.generation ~= join.generation then return false end
  join.closed = '1'
  redis.call('HSET', join.key, 'closed', 1)
  redis.call('HDEL', join.key, 'message', 'deadline_us')
  if closing.keeps_parts then expire(join.parts) else redis.call('UNLINK', join.parts) end
  redis.call('ZREM', keys.unsealed, closing.id)
  expire(join.key)
  return true
end

-- `indexes` are of parts that are waited for again, besides those that never came. Whoever read the join before can no longer close it.
function joins.reopen(id, message, generation, indexes)
  local join = joins.of(id)
  if not join.exists or join.generation >= generation then return end
  join.closed, join.generation = false, generation
  redis.call('HDEL', join.key, 'closed')
  redis.call('HSET', join.key, 'message', message, 'generation', generation)
  if join.size == -joins.UNSEALED then
    join.size = nil
    redis.call('HDEL', join.key, 'size')
  elseif join.size then
    join.size = math.abs(join.size)
    redis.call('HSET', join.key, 'size', join.size)
  end
  sliced('HDEL', join.parts, indexes)
  redis.call('PERSIST', join.key)
  redis.call('PERSIST', join.parts)
  joins.touch(id)
end

-- Level-triggered: whoever brings a part to a complete join sends the join's message, again if need be.
function joins.dispatch(ids)
  for _, id in ipairs(ids) do
    local join = joins.of(id)
    if not join.closed and join.size and redis.call('HLEN', join.parts) >= join.size then
      sending.publish(argument.control_queue, 1, redis.call('HGET', join.key, 'message'), 0)
    end
  end
end

function effects.open_join(e) joins.open(e[2], e[3], e[4], e[5], e[6], e[7]) end
function effects.seal_join(e) joins.seal(e[2], e[3]) end
function effects.add_part(e) joins.add_part(e[2], e[3], e[4], e[5], e[6], e[7]) end
function effects.reopen_join(e) joins.reopen(e[2], e[3], e[4], e[5]) end

function effects.grow_join(e)
  if not joins.grow(e[2], e[3]) then revoked.revoke(e, 4) end
end

-- What happens to messages that are held: renew, release, sweep. Comes after unique.lua and limits.lua.

local envelope_id = function(text)
  local is_readable, envelope = pcall(cjson.decode, text)
  if not is_readable or type(envelope) ~= 'table' or type(envelope.headers) ~= 'table' then return nil end
  return type(envelope.headers.id) == 'string' and envelope.headers.id or nil
end

local function put_back(tag)
  local list = lists.of_tag(tag)
  if not list or redis.call('ZREM', keys.leases, tag) == 0 then return nil end
  local text = redis.call('HGET', keys.held, tag)
  local early = not text and redis.call('HGET', keys.early, tag)
  if text then
    redis.call('HDEL', keys.held, tag)
  elseif early then
    text, list = early, lists.of(argument.control_queue, 1)
    redis.call('HDEL', keys.early, tag)
  else
    local value = redis.call('HGET', keys.unacked, tag)
    if not value then return nil end
    redis.call('HDEL', keys.unacked, tag)
    redis.call('ZREM', keys.unacked_index, tag)
    text = value:sub(2, #value - #lists.tail_of(list))
  end
  redis.call('RPUSH', list, text)
  return text
end

local function renew()
  local until_us = now + argument.lease_us
  local leases, index = {}, {}
  for i, tag in ipairs(argument.tags) do
    leases[2 * i - 1], leases[2 * i] = until_us, tag
    -- kombu gives back what is older than its visibility timeout, so what we hold must look young
    index[2 * i - 1], index[2 * i] = now / 1000000, tag
  end
  sliced('ZADD', keys.leases, leases, 'XX')
  sliced('ZADD', keys.unacked_index, index, 'XX')
  redis.call('ZADD', keys.holders, 'GT', until_us, argument.holder)
  runs.read(argument.ids)
  for _, id in ipairs(argument.ids) do
    local run = runs.claimed_by(id, argument.holder)
    if run then
      run.lease_us = until_us
      runs.change(run)
    end
  end
end

local function release()
  for i = #argument.tags, 1, -1 do put_back(argument.tags[i]) end
  for _, id in ipairs(argument.ids) do
    local run = runs.claimed_by(id, argument.holder)
    if run then
      run.worker, run.lease_us, run.lost = '', 0, run.lost + argument.lost
      runs.change(run)
    end
  end
end

-- What a process that is gone held comes back at once, and its claims end with it.
local function put_back_of(holders)
  if #holders == 0 then return end
  local is_gone = set_of(holders)
  local tags = redis.call('ZRANGE', keys.leases, 0, -1)
  for i = #tags, 1, -1 do
    local holder = tags[i]:match('^([^#]*)#')
    if is_gone[holder] then
      local text = put_back(tags[i])
      local id = text and envelope_id(text)
      local run = id and runs.claimed_by(id, holder)
      if run then
        run.lease_us = 0
        runs.change(run)
      end
    end
  end
  redis.call('ZREM', keys.holders, unpack(holders))
end

local function interrupted_joins()
  local records = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.unsealed, '-inf', now, 'LIMIT', 0, SLICE)) do
    local f = redis.call('HMGET', own .. 'join:' .. id, 'record', 'size', 'closed')
    if f[1] and not f[2] and not f[3] then
      records[#records + 1] = f[1]
    else
      redis.call('ZREM', keys.unsealed, id)
    end
  end
  return records
end

local function sweep()
  timers.send_due()
  put_back_of(argument.gone)
  local overdue = redis.call('ZRANGEBYSCORE', keys.leases, '-inf', now, 'LIMIT', 0, SLICE)
  for i = #overdue, 1, -1 do put_back(overdue[i]) end
  -- a holder's score is its longest lease: whatever it held has come back
  if #overdue < SLICE then redis.call('ZREMRANGEBYSCORE', keys.holders, '-inf', now) end
  local old = redis.call('ZRANGEBYSCORE', keys.revoked, '-inf', now - argument.revoked_keep_us, 'LIMIT', 0, SLICE)
  sliced('ZREM', keys.revoked, old)
  sliced('HDEL', keys.signums, old)
  local is_more = unique_keys.forget_free()
  lanes.wake_all()
  return {(is_more or #overdue == SLICE) and 1 or 0, interrupted_joins()}
end

local function revoke()
  runs.read(argument.ids)
  for i, id in ipairs(argument.ids) do
    revoked.remember(id, argument.signum)
    -- a stamp (stamp.py) is no task, so nothing is its outcome
    if id:sub(1, 6) ~= 'stamp:' then revoked.settle(id, argument.documents[i]) end
  end
  runs.write()
  documents.write() -- last, see there
end

local verbs = {renew = renew, release = release, sweep = sweep}
if argument.verb == 'revoke' then return revoke() end
local answer = verbs[argument.verb]()
runs.write()
return answer

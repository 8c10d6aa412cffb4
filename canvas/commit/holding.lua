-- What happens to messages that are held: renew, release, sweep. Comes after store.lua and unique.lua.

local envelope_id = function(text)
  local is_readable, envelope = pcall(cjson.decode, text)
  if not is_readable or type(envelope) ~= 'table' or type(envelope.headers) ~= 'table' then return nil end
  return type(envelope.headers.id) == 'string' and envelope.headers.id or nil
end

local function renew()
  local until_us = now + argument.lease_us
  local leases, index = {}, {}
  for i, tag in ipairs(argument.tags) do
    leases[2 * i - 1], leases[2 * i] = until_us, tag
    -- kombu gives back what is older than its visibility timeout, so what we hold must look young
    index[2 * i - 1], index[2 * i] = now / 1000000, tag
  end
  sliced('ZADD', LEASES, leases, 'XX')
  sliced('ZADD', UNACKED_INDEX, index, 'XX')
  redis.call('ZADD', HOLDERS, 'GT', until_us, argument.holder)
  read_runs(argument.ids)
  for _, id in ipairs(argument.ids) do
    local run = claimed_by(id, argument.holder)
    if run then
      run.lease_us = until_us
      change_run(run)
    end
  end
end

local function release()
  for i = #argument.tags, 1, -1 do put_back(argument.tags[i]) end
  for _, id in ipairs(argument.ids) do
    local run = claimed_by(id, argument.holder)
    if run then
      run.worker, run.lease_us, run.lost = '', 0, run.lost + argument.lost
      change_run(run)
    end
  end
end

-- What a process that is gone held comes back at once, and its claims end with it.
local function put_back_of(holders)
  if #holders == 0 then return end
  local is_gone = {}
  for _, holder in ipairs(holders) do is_gone[holder] = true end
  local tags = redis.call('ZRANGE', LEASES, 0, -1)
  for i = #tags, 1, -1 do
    local holder = tags[i]:match('^([^#]*)#')
    if is_gone[holder] then
      local text = put_back(tags[i])
      local id = text and envelope_id(text)
      local run = id and claimed_by(id, holder)
      if run then
        run.lease_us = 0
        change_run(run)
      end
    end
  end
  redis.call('ZREM', HOLDERS, unpack(holders))
end

local function interrupted_joins()
  local records = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', UNSEALED, '-inf', now, 'LIMIT', 0, SLICE)) do
    local f = redis.call('HMGET', own .. 'join:' .. id, 'record', 'size', 'closed')
    if f[1] and not f[2] and not f[3] then
      records[#records + 1] = f[1]
    else
      redis.call('ZREM', UNSEALED, id)
    end
  end
  return records
end

local function sweep()
  send_due_timers()
  put_back_of(argument.gone)
  local overdue = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, SLICE)
  for i = #overdue, 1, -1 do put_back(overdue[i]) end
  -- a holder's score is its longest lease: whatever it held has come back
  if #overdue < SLICE then redis.call('ZREMRANGEBYSCORE', HOLDERS, '-inf', now) end
  local old = redis.call('ZRANGEBYSCORE', REVOKED, '-inf', now - argument.revoked_keep_us, 'LIMIT', 0, SLICE)
  sliced('ZREM', REVOKED, old)
  sliced('HDEL', SIGNUMS, old)
  local is_more = forget_free_keys()
  wake_lines()
  return {(is_more or #overdue == SLICE) and 1 or 0, interrupted_joins()}
end

local function revoke()
  local ended = {}
  read_runs(argument.ids)
  for i, id in ipairs(argument.ids) do
    remember_revoked(id, argument.signum)
    -- a stamp (stamp.py) is no task, so nothing is its outcome
    if id:sub(1, 6) ~= 'stamp:' then revoke_unclaimed(id, argument.documents[i], ended) end
  end
  write_runs()
  write_documents(ended) -- last, see there
end

local verbs = {renew = renew, release = release, sweep = sweep}
if argument.verb == 'revoke' then return revoke() end
local answer = verbs[argument.verb]()
write_runs()
return answer

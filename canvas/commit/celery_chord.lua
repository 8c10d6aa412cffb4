-- The books that Celery's own workers keep of a chord in Redis, kept by its rules, so that both fleets can count in one chord. Comes
-- after effects.lua.
--
-- Of group G, on B = `celery-taskset-meta-G`, in the database of the results:
--   B.j  what came in: members `[1, id, state, result]` by their index; a list, in any order, where result_chord_ordered is off
--   B.d  "id:index" of what came in, so that it counts once      B.s  how many parts there are, by who sent them
--   B.t  how many were added since                               B.c  who sends the body: a token for a while, then "done"
--
-- When the last part comes in, who counts it takes the claim B.c. Celery's worker sends the body then; we send a message of our own
-- (flow.chord_message), and whoever serves that closes the books and sends the body, in one step. A claim that its holder let run out is
-- anybody's: for one that stands in our way the message is sent for when it will have run out.

local celery_chord = {}

function celery_chord.keys(group)
  local base = prefix .. 'celery-taskset-meta-' .. group
  return {base = base, j = base .. '.j', d = base .. '.d', s = base .. '.s', t = base .. '.t', c = base .. '.c'}
end

-- Only the script changes to another database, its caller does not.
function celery_chord.in_results(work)
  if argument.result_db < 0 then return work() end
  redis.call('SELECT', argument.result_db)
  local answer = work()
  redis.call('SELECT', argument.chord.own_db)
  return answer
end

function celery_chord.expire(keys)
  local seconds = argument.chord.keep_seconds
  if seconds <= 0 then return end
  for _, key in ipairs({keys.j, keys.t, keys.s, keys.d, keys.base}) do redis.call('EXPIRE', key, seconds) end
end

function celery_chord.write(keys, id, index, member)
  local kind = redis.call('TYPE', keys.j).ok
  local is_list = kind == 'list' or (kind == 'none' and not argument.chord.ordered)
  if redis.call('SADD', keys.d, id .. ':' .. index) == 1 then
    if is_list then redis.call('RPUSH', keys.j, member) else redis.call('ZADD', keys.j, index, member) end
  end
  celery_chord.expire(keys)
  return redis.call(is_list and 'LLEN' or 'ZCARD', keys.j)
end

-- Count one part. When the body's turn is, in microseconds, if all are in and it was not sent; else nil.
function celery_chord.count(group, id, index, member, token)
  local keys = celery_chord.keys(group)
  if redis.call('GET', keys.c) == 'done' then return nil end
  local count = celery_chord.write(keys, id, index, member)
  local size = tonumber(redis.call('GET', keys.s) or nil)
  if not size or count ~= size + tonumber(redis.call('GET', keys.t) or 0) then return nil end
  if redis.call('SET', keys.c, token, 'NX', 'EX', argument.chord.claim_seconds) then return 0 end
  return now + math.max(1, redis.call('PTTL', keys.c)) * 1000
end

-- What somebody who can read the body says of it is kept for who cannot.
function celery_chord.message_of(group, message)
  local key = own .. 'chord:' .. group
  if message == '' then return redis.call('GET', key) end
  redis.call('SET', key, message, 'NX', 'EX', argument.chord.known_seconds)
  return message
end

-- Effect {_, group, id, index, member, token, message, dead letter where no message is known}.
function effects.count_part(e)
  local group, token = e[2], e[6]
  local message = celery_chord.message_of(group, e[7])
  local due = celery_chord.in_results(function() return celery_chord.count(group, e[3], e[4], e[5], token) end)
  if not due then return end
  if message then
    sending.publish(argument.control_queue, 1, message, due, token)
  elseif due == 0 then
    bury(e[8])
  end
end

-- A chord that is over stays so: who sends its header again, sends what was sent.
function effects.open_count(e)
  local group, size = e[2], e[3]
  celery_chord.in_results(function()
    local keys = celery_chord.keys(group)
    if redis.call('EXISTS', keys.c) == 1 then return end
    redis.call('SET', keys.s, size)
    celery_chord.expire(keys)
  end)
end

-- True if the claim was ours, or nobody's, and the body is to be sent: nobody sends it after us.
function celery_chord.close(group, token)
  return celery_chord.in_results(function()
    local keys = celery_chord.keys(group)
    local claim = redis.call('GET', keys.c)
    if claim and claim ~= token or not claim and redis.call('EXISTS', keys.s) == 0 then return false end
    redis.call('DEL', keys.j, keys.t, keys.s, keys.d)
    redis.call('SET', keys.c, 'done', 'EX', argument.chord.done_seconds)
    return true
  end)
end

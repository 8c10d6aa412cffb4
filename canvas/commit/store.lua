-- What every script of backbeat shares; the loader puts it in front of exchange.lua and holding.lua.
--
-- Lists, `unacked` and `unacked_index` are kombu's own layout. All other keys are ours, under `backbeat:`.
-- Times are microseconds of the server's clock; they fit a double. Never join a number to a text with `..` (14 digits only), and
-- never write one with cjson: redis.call writes numbers in full.

local argument = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local prefix = argument.prefix
local own = prefix .. 'backbeat:'
local UNACKED, UNACKED_INDEX = prefix .. 'unacked', prefix .. 'unacked_index'
local LEASES, HELD, EARLY, HOLDERS = own .. 'leases', own .. 'held', own .. 'early', own .. 'holders'
local TIMERS, TIMER_TEXTS, TIMERS_HEAD = own .. 'timers', own .. 'timer-texts', own .. 'timers-head'
local TIMER_OF = own .. 'timer-of'
local DEAD, DEAD_TEXTS = own .. 'dead', own .. 'dead-texts'
local UNSEALED, REVOKED, SIGNUMS, SERIAL = own .. 'unsealed', own .. 'revoked', own .. 'signums', own .. 'serial'
local OUTBOX, OUTBOX_LIST = 'backbeat.outbox', own .. 'outbox'
local SEPARATOR = '\6\22'
local STEPS = {'', SEPARATOR .. '3', SEPARATOR .. '6', SEPARATOR .. '9'}
local SERIALS = 100 -- taken at once; what is left of them is nobody's
local SLICE = 1000 -- of arguments in one call: Lua's stack holds about 8,000

local function sliced(command, key, values, option)
  for first = 1, #values, SLICE do
    local last = math.min(first + SLICE - 1, #values)
    if option then
      redis.call(command, key, option, unpack(values, first, last))
    else
      redis.call(command, key, unpack(values, first, last))
    end
  end
end

local function expire(key)
  if argument.known_seconds > 0 then redis.call('EXPIRE', key, argument.known_seconds) end
end

-- Lists, timers, and what is held ---------------------------------------------------------------------------------------------

local function list_of(queue, step)
  if queue == OUTBOX then return OUTBOX_LIST end
  return prefix .. queue .. STEPS[step]
end

-- The queue that a list belongs to, as kombu names it: without prefix and priority.
local function queue_of(list)
  return (list:sub(#prefix + 1):gsub(SEPARATOR .. '%d$', ''))
end

local serial, last_serial = 0, 0
local function next_serial()
  if serial == last_serial then
    last_serial = redis.call('INCRBY', SERIAL, SERIALS)
    serial = last_serial - SERIALS
  end
  serial = serial + 1
  return string.format('%.0f', serial)
end

-- A queue may have the name of a key that somebody else uses: a script that fails in the middle is not undone, so look first.
local known_lists = {}
local function is_list(key)
  if known_lists[key] == nil then
    local kind = redis.call('TYPE', key).ok
    known_lists[key] = kind == 'list' or kind == 'none'
  end
  return known_lists[key]
end

-- A dead letter is a member of a sorted set by its time, and its text in a hash.
local function bury(text)
  local key = next_serial()
  redis.call('ZADD', DEAD, now, key)
  redis.call('HSET', DEAD_TEXTS, key, text)
end

-- A timer is a member of a sorted set by its due time, and its text in a hash: two like messages are two timers. The member is
-- `serial#length of the id#id list`; TIMER_OF knows the last one of each id.
local function add_timer(list, text, due, id)
  local member = next_serial() .. '#' .. #id .. '#' .. id .. list
  local head = redis.call('ZRANGE', TIMERS, 0, 0, 'WITHSCORES')
  redis.call('ZADD', TIMERS, due, member)
  redis.call('HSET', TIMER_TEXTS, member, text)
  redis.call('HSET', TIMER_OF, id, member)
  -- idle workers watch this key rather than the set, which changes with every timer
  if not head[1] or due < tonumber(head[2]) then redis.call('SET', TIMERS_HEAD, due) end
end

local function id_and_list_of(member)
  local length, rest = member:match('^%d+#(%d+)#(.*)$')
  if not length then return nil, member:match('^%d+#(.*)$') end -- of a version that kept no ids
  return rest:sub(1, length), rest:sub(length + 1)
end

local function send_due_timers()
  local members = redis.call('ZRANGEBYSCORE', TIMERS, '-inf', now, 'LIMIT', 0, SLICE)
  if #members == 0 then return end
  local texts = redis.call('HMGET', TIMER_TEXTS, unpack(members))
  for i, member in ipairs(members) do
    local id, list = id_and_list_of(member)
    if texts[i] and is_list(list) then
      redis.call('LPUSH', list, texts[i])
    elseif texts[i] then
      bury(cjson.encode({reason = 'key ' .. list .. ' is not a list', message = texts[i], task_id = id}))
    end
    if id and redis.call('HGET', TIMER_OF, id) == member then redis.call('HDEL', TIMER_OF, id) end
  end
  redis.call('ZREM', TIMERS, unpack(members))
  redis.call('HDEL', TIMER_TEXTS, unpack(members))
end

-- A holding is named `holder#serial#list`. kombu's `unacked` keeps the message as kombu does, so that a Celery worker can give it back
-- if no backbeat is left; our own index of leases says when our sweeper does (decisions K14). What kombu could not read, and the
-- outbox, which it must not touch, is kept in a hash of ours. So is what was acknowledged before it ran (decisions K9): no Celery worker
-- must get it again, so it comes back by the queue that backbeat's workers alone serve.
local function unacked_tail(list)
  return ',"",' .. cjson.encode(queue_of(list)) .. ']'
end

local function put_back(tag)
  local list = tag:match('^[^#]*#%d+#(.*)$')
  if not list or redis.call('ZREM', LEASES, tag) == 0 then return nil end
  local text = redis.call('HGET', HELD, tag)
  local early = not text and redis.call('HGET', EARLY, tag)
  if text then
    redis.call('HDEL', HELD, tag)
  elseif early then
    text, list = early, list_of(argument.control_queue, 1)
    redis.call('HDEL', EARLY, tag)
  else
    local value = redis.call('HGET', UNACKED, tag)
    if not value then return nil end
    redis.call('HDEL', UNACKED, tag)
    redis.call('ZREM', UNACKED_INDEX, tag)
    text = value:sub(2, #value - #unacked_tail(list))
  end
  redis.call('RPUSH', list, text)
  return text
end

-- Runs: what is known about one task id (run.py) ------------------------------------------------------------------------------
--
-- One text, as reading and writing many is one call then: `generation attempt lease_us lost worker`, a line end, the outcome; an `e`
-- behind `lost` if it was acknowledged early, then `@` and when it was claimed.

local EMPTY_RUN = '0 0 0 0 \n'
local runs, changed_runs = {}, {}

local function run_from_text(key, text)
  local run = {key = key, generation = 0, attempt = 0, lease_us = 0, lost = 0, early = false, started_us = 0, worker = '',
    outcome = nil}
  run.exists = text and true or false
  if not text then return run end
  local generation, attempt, lease_us, lost, early, started_us, worker, outcome =
    text:match('^(%-?%d+) (%-?%d+) (%d+) (%d+)(e?)@?(%d*) ([^\n]*)\n(.*)$')
  run.generation, run.attempt = tonumber(generation), tonumber(attempt)
  run.lease_us, run.lost, run.early, run.worker = tonumber(lease_us), tonumber(lost), early == 'e', worker
  run.started_us = tonumber(started_us) or 0
  if outcome ~= '' then run.outcome = outcome end
  return run
end

local function text_of_run(run)
  local numbers = string.format('%.0f %.0f %.0f %.0f', run.generation, run.attempt, run.lease_us, run.lost)
  local since = run.worker ~= '' and run.started_us > 0 and string.format('@%.0f', run.started_us) or ''
  return numbers .. (run.early and 'e' or '') .. since .. ' ' .. run.worker .. '\n' .. (run.outcome or '')
end

-- Read the runs of many ids in few calls; `run_of` would read them one by one.
local function read_runs(ids)
  for first = 1, #ids, SLICE do
    local keys = {}
    for i = first, math.min(first + SLICE - 1, #ids) do keys[#keys + 1] = own .. 'run:' .. ids[i] end
    for i, text in ipairs(redis.call('MGET', unpack(keys))) do
      local id = ids[first + i - 1]
      if not runs[id] then runs[id] = run_from_text(keys[i], text) end
    end
  end
end

local function run_of(id)
  if not runs[id] then read_runs({id}) end
  return runs[id]
end

local function change_run(run)
  if not run.is_changed then changed_runs[#changed_runs + 1] = run end
  run.is_changed, run.exists = true, true
end

-- Nothing that may still go on has a time to live (decisions K11): only an outcome that is an ending starts one. `ended` is set
-- by whoever stores an outcome, and taken away by a claim; a run that only changes otherwise has no outcome, or a GoingOn.
local function write_runs()
  local lasting = {}
  for _, run in ipairs(changed_runs) do
    if run.has_ended and argument.known_seconds > 0 then
      redis.call('SETEX', run.key, argument.known_seconds, text_of_run(run))
    else
      lasting[#lasting + 1] = run.key
      lasting[#lasting + 1] = text_of_run(run)
    end
  end
  for first = 1, #lasting, SLICE do
    redis.call('MSET', unpack(lasting, first, math.min(first + SLICE - 1, #lasting)))
  end
end

-- Whether the text of an outcome is one of a GoingOn (outcome.py): no ending.
local function goes_on(outcome)
  local kind = outcome:match('^{"kind": "(%a+)"')
  return kind == 'retry' or kind == 'replaced'
end

-- A claim that is under way: of this worker, without an outcome.
local function claimed_by(id, worker)
  local run = run_of(id)
  return run.worker == worker and not run.outcome and run
end

-- REVOKED at once for what nobody runs, as run.py decides; its message, when it comes, finds that it ended so. Its document comes
-- among `documents`. True if it is.
local function revoke_unclaimed(id, document, documents)
  local run = run_of(id)
  if not run.outcome then
    if run.worker ~= '' and run.lease_us > now then return false end
  elseif goes_on(run.outcome) then
    run.attempt = run.attempt + 1
  else
    return false
  end
  run.outcome, run.worker, run.lease_us, run.early, run.has_ended = argument.revoked, '', 0, false, true
  change_run(run)
  documents[#documents + 1] = id
  documents[#documents + 1] = document
  return true
end

-- The last timer of a task is due now; true if there is one.
local function hasten_timer(id)
  local timer = redis.call('HGET', TIMER_OF, id)
  if not timer then return false end
  redis.call('ZADD', TIMERS, 'XX', now, timer)
  redis.call('SET', TIMERS_HEAD, now)
  return true
end

-- What is revoked does not start, and a timer of it is due now, so that what depends on it is settled.
local function remember_revoked(id, signum)
  redis.call('ZADD', REVOKED, now, id)
  if signum > 0 then redis.call('HSET', SIGNUMS, id, signum) else redis.call('HDEL', SIGNUMS, id) end
  hasten_timer(id)
end

-- The last thing that a script does, as it may leave the database; only the script does, not its caller.
local function write_documents(documents, forgotten)
  forgotten = forgotten or {}
  if #documents + #forgotten > 0 and argument.result_db >= 0 then redis.call('SELECT', argument.result_db) end
  for _, id in ipairs(forgotten) do redis.call('DEL', prefix .. 'celery-task-meta-' .. id) end
  for i = 1, #documents, 2 do
    local key, document = prefix .. 'celery-task-meta-' .. documents[i], documents[i + 1]
    -- compressed ones are bytes, which JSON cannot hold: they are arguments of their own
    if type(document) == 'number' then document = ARGV[document] end
    if argument.keep_seconds > 0 then
      redis.call('SETEX', key, argument.keep_seconds, document)
    else
      redis.call('SET', key, document)
    end
    redis.call('PUBLISH', key, document)
  end
end

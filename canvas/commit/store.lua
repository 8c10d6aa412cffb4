-- What every script of backbeat shares; the loader puts it in front of the others.
--
-- Lists, `unacked` and `unacked_index` are kombu's own layout. All other keys are ours, under `backbeat:`.
-- Times are microseconds of the server's clock; they fit a double. Never join a number to a text with `..` (14 digits only), and
-- never write one with cjson: redis.call writes numbers in full.
--
-- A script is as short as can be (exchange_script.py), and functions, texts and what is found out are fields of a few tables: each call sets up
-- anew all that is in its script, and for each local that a function takes from outside Lua looks through all that are taken so. With one
-- script for all, and a local for each of its sixty functions, that was half of what a call took.

local argument = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local prefix = argument.prefix
local own = prefix .. 'backbeat:'
local keys = {
  unacked = prefix .. 'unacked',
  unacked_index = prefix .. 'unacked_index',
  leases = own .. 'leases',
  held = own .. 'held',
  early = own .. 'early',
  holders = own .. 'holders',
  timers = own .. 'timers',
  timer_texts = own .. 'timer-texts',
  timers_head = own .. 'timers-head',
  timer_of = own .. 'timer-of',
  dead = own .. 'dead',
  dead_texts = own .. 'dead-texts',
  unsealed = own .. 'unsealed',
  revoked = own .. 'revoked',
  signums = own .. 'signums',
  serial = own .. 'serial',
}
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

local function set_of(items)
  local set = {}
  for _, item in ipairs(items) do set[item] = true end
  return set
end

local serials = {left = 0, last = 0, taken = 100} -- so many at once; what is left of them is nobody's

function serials.next()
  if serials.left == 0 then
    serials.last = redis.call('INCRBY', keys.serial, serials.taken)
    serials.left = serials.taken
  end
  serials.left = serials.left - 1
  return string.format('%.0f', serials.last - serials.left)
end

-- Lists -----------------------------------------------------------------------------------------------------------------------

-- A queue has a list for each step of priority, which kombu names by a separator, \6 and \22, and a digit.
local lists = {outbox = 'backbeat.outbox', steps = {'', '\6\0223', '\6\0226', '\6\0229'}, known = {}}

function lists.of(queue, step)
  if queue == lists.outbox then return own .. 'outbox' end
  return prefix .. queue .. lists.steps[step]
end

-- The queue that a list belongs to, as kombu names it: without prefix and priority.
function lists.queue_of(list)
  return (list:sub(#prefix + 1):gsub('\6\22%d$', ''))
end

-- What stands behind a message of this list in `unacked`, see held.lua.
function lists.tail_of(list)
  return ',"",' .. cjson.encode(lists.queue_of(list)) .. ']'
end

-- The list that a tag is of, see held.lua.
function lists.of_tag(tag)
  return tag:match('^[^#]*#%d+#(.*)$')
end

-- A queue may have the name of a key that somebody else uses: a script that fails in the middle is not undone, so look first.
function lists.is_list(key)
  if lists.known[key] == nil then
    local kind = redis.call('TYPE', key).ok
    lists.known[key] = kind == 'list' or kind == 'none'
  end
  return lists.known[key]
end

-- A dead letter is a member of a sorted set by its time, and its text in a hash.
local function bury(text)
  local key = serials.next()
  redis.call('ZADD', keys.dead, now, key)
  redis.call('HSET', keys.dead_texts, key, text)
end

-- Timers ----------------------------------------------------------------------------------------------------------------------
--
-- A timer is a member of a sorted set by its due time, and its text in a hash: two like messages are two timers. The member is
-- `serial#length of the id#id list`; `timer_of` knows the last one of each id.

local timers = {}

function timers.add(list, text, due, id)
  local member = serials.next() .. '#' .. #id .. '#' .. id .. list
  local head = redis.call('ZRANGE', keys.timers, 0, 0, 'WITHSCORES')
  redis.call('ZADD', keys.timers, due, member)
  redis.call('HSET', keys.timer_texts, member, text)
  redis.call('HSET', keys.timer_of, id, member)
  -- idle workers watch this key rather than the set, which changes with every timer
  if not head[1] or due < tonumber(head[2]) then redis.call('SET', keys.timers_head, due) end
end

function timers.id_and_list_of(member)
  local length, rest = member:match('^%d+#(%d+)#(.*)$')
  if not length then return nil, member:match('^%d+#(.*)$') end -- of a version that kept no ids
  return rest:sub(1, length), rest:sub(length + 1)
end

function timers.send_due()
  local members = redis.call('ZRANGEBYSCORE', keys.timers, '-inf', now, 'LIMIT', 0, SLICE)
  if #members == 0 then return end
  local texts = redis.call('HMGET', keys.timer_texts, unpack(members))
  for i, member in ipairs(members) do
    local id, list = timers.id_and_list_of(member)
    if texts[i] and lists.is_list(list) then
      redis.call('LPUSH', list, texts[i])
    elseif texts[i] then
      bury(cjson.encode({reason = 'key ' .. list .. ' is not a list', message = texts[i], task_id = id}))
    end
    if id and redis.call('HGET', keys.timer_of, id) == member then redis.call('HDEL', keys.timer_of, id) end
  end
  redis.call('ZREM', keys.timers, unpack(members))
  redis.call('HDEL', keys.timer_texts, unpack(members))
end

-- The last timer of a task is due now; true if there is one.
function timers.hasten(id)
  local timer = redis.call('HGET', keys.timer_of, id)
  if not timer then return false end
  redis.call('ZADD', keys.timers, 'XX', now, timer)
  redis.call('SET', keys.timers_head, now)
  return true
end

-- Documents -------------------------------------------------------------------------------------------------------------------

local documents = {added = {}, forgotten = {}}

function documents.add(id, document)
  documents.added[#documents.added + 1] = {id, document}
end

function documents.forget(id)
  documents.forgotten[#documents.forgotten + 1] = id
end

-- The last thing that a script does, as it may leave the database; only the script does, not its caller.
function documents.write()
  local is_any = #documents.added + #documents.forgotten > 0
  if is_any and argument.result_db >= 0 then redis.call('SELECT', argument.result_db) end
  for _, id in ipairs(documents.forgotten) do redis.call('DEL', prefix .. 'celery-task-meta-' .. id) end
  for _, added in ipairs(documents.added) do
    local key, document = prefix .. 'celery-task-meta-' .. added[1], added[2]
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

-- One exchange: settle, effects and acknowledgement of each transition; then claims; then new work with its claims. One step.
-- The decisions `settle` and `judge` are those of run.py, line by line. Comes after store.lua and unique.lua.

local tags_done = {}
local touched, touched_order = {}, {}
local documents, forgotten = {}, {}
local outbox = {}
local is_store = argument.role == 'store'

-- Holding ---------------------------------------------------------------------------------------------------------------------

local unacked, unacked_index, leases, held = {}, {}, {}, {}
local longest_lease = 0

local function push2(values, first, second)
  values[#values + 1] = first
  values[#values + 1] = second
end

local function hold(list, text, is_readable, lease_us)
  local tag = argument.holder .. '#' .. next_serial() .. '#' .. list
  push2(leases, now + lease_us, tag)
  if list == OUTBOX_LIST or not is_readable then
    push2(held, tag, text)
  else
    push2(unacked, tag, '[' .. text .. unacked_tail(list))
    push2(unacked_index, now / 1000000, tag)
  end
  longest_lease = math.max(longest_lease, now + lease_us)
  return tag
end

local function write_holdings()
  sliced('HSET', UNACKED, unacked)
  sliced('ZADD', UNACKED_INDEX, unacked_index)
  sliced('HSET', HELD, held)
  sliced('ZADD', LEASES, leases)
  if longest_lease > 0 then redis.call('ZADD', HOLDERS, 'GT', longest_lease, argument.holder) end
end

local function drop_holdings()
  if #tags_done == 0 then return end
  sliced('HDEL', UNACKED, tags_done)
  sliced('ZREM', UNACKED_INDEX, tags_done)
  sliced('ZREM', LEASES, tags_done)
  sliced('HDEL', HELD, tags_done)
  sliced('HDEL', EARLY, tags_done)
end

-- From kombu's hash to ours, see put_back.
local function hold_early(tag)
  local list = tag:match('^[^#]*#%d+#(.*)$')
  local value = list and redis.call('HGET', UNACKED, tag)
  if not value then return end
  redis.call('HSET', EARLY, tag, value:sub(2, #value - #unacked_tail(list)))
  redis.call('HDEL', UNACKED, tag)
  redis.call('ZREM', UNACKED_INDEX, tag)
end

-- Outcomes --------------------------------------------------------------------------------------------------------------------

-- Below, at or above zero, as the run's (generation, attempt) is before, at or after the one given.
local function compare(run, generation, attempt)
  if run.generation ~= generation then return run.generation - generation end
  return run.attempt - attempt
end

-- The outcome that stands as {outcome, attempt, generation} if it is another one than the transition's; else nil.
local function settle(t)
  local run = run_of(t.id)
  local order = compare(run, t.generation, t.attempt)
  if run.outcome and order >= 0 then
    if order == 0 and run.outcome == t.outcome then
      -- revoked before its message was known: now its result can tell what it was
      if t.document and run.outcome:match('^{"kind": "revoked"') then push2(documents, t.id, t.document) end
      return nil
    end
    return {run.outcome, run.attempt, run.generation}
  end
  if order > 0 then return {'', run.attempt, run.generation} end
  run.generation, run.attempt, run.outcome = t.generation, t.attempt, t.outcome
  run.worker, run.lease_us, run.early = '', 0, false
  run.has_ended = not t.again
  change_run(run)
  if t.document then push2(documents, t.id, t.document) end
  return nil
end

-- The message is acknowledged before it runs; the death of its claim will end it.
local function begin_early(message, tag)
  local run = claimed_by(message.id, argument.holder)
  if not run or compare(run, message.generation, message.attempt) ~= 0 then return end
  run.early = true
  change_run(run)
  if tag then hold_early(tag) end
end

-- As run.py's.
local function give_back(message)
  local run = claimed_by(message.id, argument.holder)
  if not run or compare(run, message.generation, message.attempt) ~= 0 then return end
  run.worker, run.lease_us = '', 0
  change_run(run)
end

-- As run.py's.
local function settle_unstarted(id, outcome, document, attempt)
  local run = run_of(id)
  local by_hand = attempt < 0
  if not run.outcome then
    if not by_hand then run.generation, run.attempt = 0, attempt end
  elseif goes_on(run.outcome) and (by_hand or run.attempt + 1 == attempt) then
    run.attempt = run.attempt + 1
  else
    return
  end
  run.outcome = outcome
  run.worker, run.lease_us, run.lost, run.early = '', 0, 0, false
  run.has_ended = true
  change_run(run)
  push2(documents, id, document)
end

-- Effects ---------------------------------------------------------------------------------------------------------------------

-- What goes into lists, by list, so that all of it is one call for each.
local published, published_order = {}, {}

local function publish(queue, step, text, due, id)
  local list = list_of(is_store and OUTBOX or queue, step)
  if due > now then
    add_timer(list, text, due, id)
  elseif is_store then
    outbox[#outbox + 1] = {hold(list, text, false, argument.outbox_lease_us), text}
  else
    local texts = published[list]
    if not texts then
      texts = {}
      published[list] = texts
      published_order[#published_order + 1] = list
    end
    texts[#texts + 1] = text
  end
end

local function write_lists()
  for _, list in ipairs(published_order) do sliced('LPUSH', list, published[list]) end
end

-- An empty run says of an id that it was sent (sent.py); whatever is known of it already stays.
local function know(sent)
  for i = 1, #sent, 2 do
    redis.call('SET', own .. 'run:' .. sent[i], EMPTY_RUN, 'NX', 'EX', sent[i + 1])
  end
end

local joins = {}

local function join_of(id)
  local join = joins[id]
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
  joins[id] = join
  return join
end

local function touch(id)
  if not touched[id] then
    touched[id] = true
    touched_order[#touched_order + 1] = id
  end
end

local function open_join(id, record, message, size, lease_us, generation)
  local join = join_of(id)
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
    redis.call('ZADD', UNSEALED, now + lease_us, id)
  end
end

local UNSEALED_SIZE = 2147483647

local function set_size(join, id, size)
  redis.call('HSET', join.key, 'size', size)
  redis.call('HDEL', join.key, 'deadline_us')
  redis.call('ZREM', UNSEALED, id)
  join.size = size
end

local function seal_join(id, size)
  local join = join_of(id)
  if not join.exists or (join.size and join.size ~= -UNSEALED_SIZE) then return end
  local whole = size + join.added_count
  set_size(join, id, join.size and -whole or whole)
  touch(id)
end

local FIRST_ADDED = 1073741824

-- False if the join wants no other part.
local function grow_join(id, added)
  local join = join_of(id)
  if join.added[added] then return true end
  if not join.exists or join.closed or (join.size or 0) < 0 then return false end
  join.added[added], join.added_count = join.added_count, join.added_count + 1
  redis.call('HSET', join.key, 'added', (redis.call('HGET', join.key, 'added') or '') .. added .. ' ')
  if join.size then join.size = redis.call('HINCRBY', join.key, 'size', 1) end
  return true
end

-- A part whose join is gone without a tombstone is kept as a dead letter. With `completes` the join wants no other.
local function add_part(id, index, text, dead, completes, added)
  local join = join_of(id)
  if not join.exists and not join.closed then
    bury(dead)
    return
  end
  if added ~= '' then
    if not join.added[added] then return end
    index = FIRST_ADDED + join.added[added]
  end
  -- one that did not wait for it may be opened again
  if join.closed and (join.size or 0) >= 0 then return end
  redis.call('HSETNX', join.parts, index, text)
  if join.closed then
    expire(join.parts)
    return
  end
  -- a negative size waits for no other, and tells what it was
  if completes then set_size(join, id, -math.abs(join.size or UNSEALED_SIZE)) end
  touch(id)
end

-- True if the effects of a transition that closes a join are to be applied: if it was open, in this generation (-1: in any).
local function close_join(closing)
  local join = join_of(closing.id)
  if not join.exists or join.closed then return false end
  if closing.generation >= 0 and closing.generation ~= join.generation then return false end
  join.closed = '1'
  redis.call('HSET', join.key, 'closed', 1)
  redis.call('HDEL', join.key, 'message', 'deadline_us')
  if closing.keeps_parts then expire(join.parts) else redis.call('UNLINK', join.parts) end
  redis.call('ZREM', UNSEALED, closing.id)
  expire(join.key)
  return true
end

-- Parts from the fifth item on are waited for again, and those that never came. Whoever read the join before can no longer close it.
local function reopen_join(e)
  local id, message, generation = e[2], e[3], e[4]
  local join = join_of(id)
  if not join.exists or join.generation >= generation then return end
  join.closed, join.generation = false, generation
  redis.call('HDEL', join.key, 'closed')
  redis.call('HSET', join.key, 'message', message, 'generation', generation)
  if join.size == -UNSEALED_SIZE then
    join.size = nil
    redis.call('HDEL', join.key, 'size')
  elseif join.size then
    join.size = math.abs(join.size)
    redis.call('HSET', join.key, 'size', join.size)
  end
  if #e > 4 then redis.call('HDEL', join.parts, unpack(e, 5)) end
  redis.call('PERSIST', join.key)
  redis.call('PERSIST', join.parts)
  touch(id)
end

local function open_plan(root, id, text, seconds)
  local key = own .. 'plan:' .. root
  redis.call('HSETNX', key, id, text)
  redis.call('SET', own .. 'canvas:' .. id, root, 'NX')
  if seconds > 0 then
    redis.call('EXPIRE', key, seconds)
    redis.call('EXPIRE', own .. 'canvas:' .. id, seconds)
  end
end

local function forget_revoked(id)
  redis.call('ZREM', REVOKED, id)
  redis.call('HDEL', SIGNUMS, id)
end

-- As run.py's; ids from the fourth item on.
local function restart(e)
  for _, id in ipairs(e[3]) do forget_revoked(id) end
  for i = 4, #e do
    local id = e[i]
    forget_revoked(id)
    local run = run_of(id)
    if run.generation < e[2] then
      run.generation, run.attempt, run.outcome, run.worker = e[2], 0, nil, ''
      run.lease_us, run.lost, run.early, run.has_ended = 0, 0, false, false
      change_run(run)
      forgotten[#forgotten + 1] = id
    end
  end
end

-- Level-triggered: whoever brings a part to a complete join sends the join's message, again if need be.
local function dispatch_complete_joins()
  for _, id in ipairs(touched_order) do
    local join = join_of(id)
    if not join.closed and join.size and redis.call('HLEN', join.parts) >= join.size then
      publish(argument.control_queue, 1, redis.call('HGET', join.key, 'message'), 0)
    end
  end
end

-- True if the effects of a transition that digs up a dead letter are to be applied: if it was there.
local function dig_up(key)
  if not key then return true end
  redis.call('HDEL', DEAD_TEXTS, key)
  return redis.call('ZREM', DEAD, key) == 1
end

local any_revoked = redis.call('EXISTS', REVOKED) == 1

-- Ids from the second item on, or from `first`, each followed by its document.
local function revoke(e, first)
  for i = first or 2, #e, 2 do
    revoke_unclaimed(e[i], e[i + 1], documents)
    remember_revoked(e[i], 0)
  end
  any_revoked = true
end

local apply_effect = {
  publish = function(e) publish(e[2], e[3], e[4], e[5], e[6]) end,
  settle = function(e) settle_unstarted(e[2], e[3], e[4], e[5]) end,
  open_chain = function(e) redis.call('SETNX', own .. 'chain:' .. e[2], e[3]) end,
  close_chain = function(e) expire(own .. 'chain:' .. e[2]) end,
  open_join = function(e) open_join(e[2], e[3], e[4], e[5], e[6], e[7]) end,
  seal_join = function(e) seal_join(e[2], e[3]) end,
  add_part = function(e) add_part(e[2], e[3], e[4], e[5], e[6], e[7]) end,
  grow_join = function(e)
    if not grow_join(e[2], e[3]) then revoke(e, 4) end
  end,
  count_part = function(e) celery_chord.count_part(e, publish) end,
  open_count = function(e) celery_chord.open(e[2], e[3]) end,
  revoke = function(e) revoke(e) end,
  open_plan = function(e) open_plan(e[2], e[3], e[4], e[5]) end,
  keep_chain = function(e) redis.call('PERSIST', own .. 'chain:' .. e[2]) end,
  reopen_join = function(e) reopen_join(e) end,
  restart = function(e) restart(e) end,
}

-- As run.py's: what was revoked while a worker had it waits no longer.
local function hasten(t)
  local id = t.puts_off and t.puts_off.id or (t.again and t.id)
  if not id or not redis.call('ZSCORE', REVOKED, id) then return end
  for _, effect in ipairs(t.effects) do
    if effect[1] == 'publish' and effect[6] == id then effect[5] = 0 end
  end
end

local admitted = {}

-- True if nothing else of the transition is applied: it may start. What may not is put off.
local function admits(ask)
  local run = claimed_by(ask.id, argument.holder)
  if not run or compare(run, ask.generation, ask.attempt) ~= 0 then return false end
  local wait_us, has_turn = admit(ask)
  if not wait_us then
    admitted[#admitted + 1] = ask.id
    return true
  end
  give_back(ask)
  local queue, step, text, _, id = unpack(ask.publish)
  local due = redis.call('ZSCORE', REVOKED, id) and 0 or now + wait_us
  publish(queue, step, has_turn and ask.at_turn or text, due, id)
  return false
end

local function apply(t)
  if t.admits and admits(t.admits) then return nil end
  local standing = t.outcome and settle(t)
  if standing then return standing end
  local holder = t.unique and take_key(t.unique, documents)
  if holder then return nil, holder end
  hasten(t)
  if t.puts_off then give_back(t.puts_off) end
  if dig_up(t.digs_up) and (not t.closes or close_join(t.closes))
    and (not t.counted or celery_chord.close(t.counted, t.id)) then
    for _, effect in ipairs(t.effects) do apply_effect[effect[1]](effect) end
    if t.sent then know(t.sent) end
  end
  if t.frees then wake(t.frees, 1) end
  if t.dead then bury(t.dead) end
  if t.early then
    begin_early(t.early, t.tag)
  elseif t.tag then tags_done[#tags_done + 1] = t.tag end
  return nil
end

-- Claims ----------------------------------------------------------------------------------------------------------------------

local function is_revoked(message)
  if not any_revoked then return false end
  for _, key in ipairs(message.stamps or {}) do
    if redis.call('ZSCORE', REVOKED, key) then return true end
  end
  return redis.call('ZSCORE', REVOKED, message.id) or redis.call('ZSCORE', REVOKED, message.root_id)
end

local is_gone = {}
for _, holder in ipairs(argument.gone) do is_gone[holder] = true end

local function judge(message)
  local run = run_of(message.id)
  local order = compare(run, message.generation, message.attempt)
  if run.outcome and order >= 0 then return {'settled', run.outcome, run.attempt, run.generation} end
  if order > 0 then return {'stale'} end
  local same = order == 0
  if same and run.worker ~= '' and run.lease_us > now and not is_gone[run.worker] then
    return {'later', run.lease_us, run.worker}
  end
  if is_revoked(message) then return {'revoked'} end
  if message.eta_us and message.eta_us > now then return {'later', message.eta_us, ''} end
  -- a claim that died counts; a retry or a later generation starts counting anew
  local lost = same and run.lost + (run.worker ~= '' and 1 or 0) or 0
  if lost >= argument.max_lost or (same and run.early and lost > 0) then
    run.lost = lost
    change_run(run)
    return {'poison', lost, run.early and 1 or 0}
  end
  run.generation, run.attempt, run.outcome, run.has_ended = message.generation, message.attempt, nil, false
  run.worker, run.lease_us, run.lost, run.early = argument.holder, now + argument.lease_us, lost, false
  run.started_us = now
  change_run(run)
  return {'run', lost, now}
end

local function ids_of(items)
  local ids = {}
  for _, item in ipairs(items) do ids[#ids + 1] = item.id or (item.early or item.puts_off or item.admits or {}).id end
  return ids
end

-- Taking: envelopes are read by envelope.lua --------------------------------------------------------------------------------

-- Whether put_back brought it by the queue of our own workers. The id is anybody's, and only says by which queue's name Python verifies
-- the message; whose run is early has a claim, and does not start again.
local function was_early(queue, envelope)
  if queue ~= argument.control_queue then return false end
  local id = type(envelope.headers) == 'table' and envelope.headers.id
  return type(id) == 'string' and run_of(id).early
end

local function taken_of(list, queue, text, wanted)
  local is_readable, envelope = pcall(cjson.decode, text)
  is_readable = is_readable and type(envelope) == 'table'
  local taken = {hold(list, text, is_readable, argument.lease_us), queue, text, {'run', 0, now}}
  if argument.role ~= 'broker' and queue ~= OUTBOX then
    -- the headers of a message that is signed are believed when Python has verified them, so that a forged one touches no run
    local message = is_readable and not argument.is_signed and message_of(envelope)
    if message then
      message.taken = taken
      wanted[#wanted + 1] = message
    else
      taken[4] = {'unread', is_readable and was_early(queue, envelope) and 1 or 0}
    end
  end
  return taken
end

-- The highest priority first, or the lowest, as Celery's workers do. Few tasks have priorities: of the lists besides the first of each
-- queue mostly none is there.
local function steps_in_order()
  local keys = {}
  for step = 2, #STEPS do
    for _, queue in ipairs(argument.queues) do
      if queue ~= OUTBOX then keys[#keys + 1] = list_of(queue, step) end
    end
  end
  if #keys == 0 or redis.call('EXISTS', unpack(keys)) == 0 then return {1} end
  return argument.lowest_first and {1, 2, 3, 4} or {4, 3, 2, 1}
end

local function take(limit)
  send_due_timers()
  local taken, wanted = {}, {}
  for _, step in ipairs(steps_in_order()) do
    for _, queue in ipairs(argument.queues) do
      local left = limit - #taken
      if left > 0 and (step == 1 or queue ~= OUTBOX) then
        local list = list_of(queue, step)
        for _, text in ipairs(redis.call('RPOP', list, left) or {}) do
          taken[#taken + 1] = taken_of(list, queue, text, wanted)
        end
      end
    end
  end
  read_runs(ids_of(wanted))
  for _, message in ipairs(wanted) do message.taken[4] = judge(message) end
  return taken
end

-- The exchange ----------------------------------------------------------------------------------------------------------------

for _, transition in ipairs(argument.transitions) do
  for _, effect in ipairs(transition.effects) do
    if effect[1] == 'publish' and not is_store and not is_list(list_of(effect[2], effect[3])) then
      return redis.error_reply('WRONGTYPE queue ' .. effect[2] .. ' has the name of a key that is not a list')
    end
  end
end

local standing, claimed, taken, holders = {}, {}, {}, {}
read_runs(ids_of(argument.transitions))
read_runs(ids_of(argument.claim))
for i, transition in ipairs(argument.transitions) do
  local other, holder = apply(transition)
  if holder then holders[#holders + 1] = {i - 1, holder} end
  if other then standing[#standing + 1] = {i - 1, other[1], other[2], other[3]} end
end
dispatch_complete_joins()
write_lists()
for i, message in ipairs(argument.claim) do claimed[i] = judge(message) end
if argument.take > 0 then taken = take(argument.take) end
drop_holdings()
write_holdings()
write_runs()
write_documents(documents, forgotten)
return {now, standing, claimed, taken, outbox, holders, admitted}

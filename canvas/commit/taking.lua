-- Taking: messages out of the queues, held, each with the verdict about it. Comes after decisions.lua, envelope.lua and held.lua.

local taking = {}

-- Whether put_back (holding.lua) brought it by the queue of our own workers. The id is anybody's, and only says by which queue's name Python
-- verifies the message; whose run is early has a claim, and does not start again.
function taking.was_early(queue, envelope)
  if queue ~= argument.control_queue then return false end
  local id = type(envelope.headers) == 'table' and envelope.headers.id
  return type(id) == 'string' and runs.of(id).early
end

function taking.taken_of(list, queue, text, wanted)
  local is_readable, envelope = pcall(cjson.decode, text)
  is_readable = is_readable and type(envelope) == 'table'
  local taken = {held.add(list, text, is_readable, argument.lease_us), queue, text, {'run', 0, now}}
  if argument.role ~= 'broker' and queue ~= lists.outbox then
    -- the headers of a message that is signed are believed when Python has verified them, so that a forged one touches no run
    local message = is_readable and not argument.is_signed and envelopes.message_of(envelope)
    if message then
      message.taken = taken
      wanted[#wanted + 1] = message
    else
      taken[4] = {'unread', is_readable and taking.was_early(queue, envelope) and 1 or 0}
    end
  end
  return taken
end

-- The highest priority first, or the lowest, as Celery's workers do. Few tasks have priorities: of the lists besides the first of each
-- queue mostly none is there.
function taking.steps_in_order()
  local others = {}
  for step = 2, #lists.steps do
    for _, queue in ipairs(argument.queues) do
      if queue ~= lists.outbox then others[#others + 1] = lists.of(queue, step) end
    end
  end
  if #others == 0 or redis.call('EXISTS', unpack(others)) == 0 then return {1} end
  return argument.lowest_first and {1, 2, 3, 4} or {4, 3, 2, 1}
end

function taking.take(limit)
  timers.send_due()
  local taken, wanted = {}, {}
  for _, step in ipairs(taking.steps_in_order()) do
    for _, queue in ipairs(argument.queues) do
      local left = limit - #taken
      if left > 0 and (step == 1 or queue ~= lists.outbox) then
        local list = lists.of(queue, step)
        for _, text in ipairs(redis.call('RPOP', list, left) or {}) do
          taken[#taken + 1] = taking.taken_of(list, queue, text, wanted)
        end
      end
    end
  end
  runs.read_of(wanted)
  for _, message in ipairs(wanted) do message.taken[4] = decisions.judge(message) end
  return taken
end

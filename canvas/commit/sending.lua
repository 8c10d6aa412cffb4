-- What an exchange sends: into lists, the outbox, or timers; what goes into lists is gathered, so that it is one call for each. `joins` are
-- the ids of those that may be complete, and then have a message to send. Comes after store.lua, runs.lua and held.lua.

local sending = {is_store = argument.role == 'store', texts = {}, order = {}, outbox = {}, joins = {}}

function sending.publish(queue, step, text, due, id)
  local list = lists.of(sending.is_store and lists.outbox or queue, step)
  if due > now then
    timers.add(list, text, due, id)
  elseif sending.is_store then
    sending.outbox[#sending.outbox + 1] = {held.add(list, text, false, argument.outbox_lease_us), text}
  else
    local texts = sending.texts[list]
    if not texts then
      texts = {}
      sending.texts[list] = texts
      sending.order[#sending.order + 1] = list
    end
    texts[#texts + 1] = text
  end
end

-- As run.py's: what was revoked while a worker had it waits no longer.
function sending.hasten(t)
  local id = t.puts_off and t.puts_off.id or (t.again and t.id)
  if not id or not redis.call('ZSCORE', keys.revoked, id) then return end
  for _, effect in ipairs(t.effects) do
    if effect[1] == 'publish' and effect[6] == id then effect[5] = 0 end
  end
end

function sending.write()
  for _, list in ipairs(sending.order) do sliced('LPUSH', list, sending.texts[list]) end
end

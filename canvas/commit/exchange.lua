-- One exchange: settle, effects and acknowledgement of each transition; then claims; then new work with its claims. One step.
-- Comes after all others; those that are named only where a transition or an effect asks for it may be missing (exchange_script.py).

-- Transitions -----------------------------------------------------------------------------------------------------------------

local admitted = {}

-- True if nothing else of the transition is applied: it may start. What may not is put off.
local function admits(ask)
  if not decisions.claim_of(ask) then return false end
  local wait_us, has_turn = lanes.admit(ask)
  if not wait_us then
    admitted[#admitted + 1] = ask.id
    return true
  end
  decisions.give_back(ask)
  local queue, step, text, _, id = unpack(ask.publish)
  local due = redis.call('ZSCORE', keys.revoked, id) and 0 or now + wait_us
  sending.publish(queue, step, has_turn and ask.at_turn or text, due, id)
  return false
end

-- True if the effects are to be applied. What digs up a dead letter does so if it was there.
local function is_first(t)
  if t.digs_up then
    redis.call('HDEL', keys.dead_texts, t.digs_up)
    if redis.call('ZREM', keys.dead, t.digs_up) == 0 then return false end
  end
  if t.closes and not joins.close(t.closes) then return false end
  return not t.counted or celery_chord.close(t.counted, t.id)
end

-- The outcome that stands instead; and the id of the task that has its key.
local function apply(t)
  if t.admits and admits(t.admits) then return nil end
  local standing = t.outcome and decisions.settle(t)
  if standing then return standing end
  local holder = t.unique and unique_keys.take(t.unique)
  if holder then return nil, holder end
  sending.hasten(t)
  if t.puts_off then decisions.give_back(t.puts_off) end
  if is_first(t) then
    for _, effect in ipairs(t.effects) do effects[effect[1]](effect) end
    for i = 1, #(t.sent or {}), 2 do runs.know(t.sent[i], t.sent[i + 1]) end
  end
  if t.frees then lanes.wake(t.frees, 1) end
  if t.dead then bury(t.dead) end
  if t.early then
    if decisions.begin_early(t.early) and t.tag then held.keep_early(t.tag) end
  elseif t.tag then
    held.drop(t.tag)
  end
  return nil
end

-- The exchange ----------------------------------------------------------------------------------------------------------------

for _, transition in ipairs(argument.transitions) do
  for _, effect in ipairs(transition.effects) do
    if effect[1] == 'publish' and not sending.is_store and not lists.is_list(lists.of(effect[2], effect[3])) then
      return redis.error_reply('WRONGTYPE queue ' .. effect[2] .. ' has the name of a key that is not a list')
    end
  end
end

local standing, claimed, taken, holders = {}, {}, {}, {}
runs.read_of(argument.transitions)
runs.read_of(argument.claim or {})
for i, transition in ipairs(argument.transitions) do
  local other, holder = apply(transition)
  if holder then holders[#holders + 1] = {i - 1, holder} end
  if other then standing[#standing + 1] = {i - 1, other[1], other[2], other[3]} end
end
if #sending.joins > 0 then joins.dispatch(sending.joins) end
sending.write()
for i, message in ipairs(argument.claim or {}) do claimed[i] = decisions.judge(message) end
if argument.take and argument.take > 0 then taken = taking.take(argument.take) end
held.write()
runs.write()
documents.write()
return {now, standing, claimed, taken, sending.outbox, holders, admitted}

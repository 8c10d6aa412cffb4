-- Runs: what is known about one task id (run.py). Comes after store.lua.
--
-- One text, as reading and writing many is one call then: `generation attempt lease_us lost worker`, a line end, the outcome; an `e`
-- behind `lost` if it was acknowledged early, then `@` and when it was claimed.

local runs = {nothing = '0 0 0 0 \n', by_id = {}, changed = {}}

function runs.from_text(key, text)
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

function runs.text_of(run)
  local numbers = string.format('%.0f %.0f %.0f %.0f', run.generation, run.attempt, run.lease_us, run.lost)
  local since = run.worker ~= '' and run.started_us > 0 and string.format('@%.0f', run.started_us) or ''
  return numbers .. (run.early and 'e' or '') .. since .. ' ' .. run.worker .. '\n' .. (run.outcome or '')
end

-- Read the runs of many ids in few calls; `runs.of` would read them one by one.
function runs.read(ids)
  for first = 1, #ids, SLICE do
    local names = {}
    for i = first, math.min(first + SLICE - 1, #ids) do names[#names + 1] = own .. 'run:' .. ids[i] end
    for i, text in ipairs(redis.call('MGET', unpack(names))) do
      local id = ids[first + i - 1]
      if not runs.by_id[id] then runs.by_id[id] = runs.from_text(names[i], text) end
    end
  end
end

-- The same, of transitions or messages.
function runs.read_of(items)
  local ids = {}
  for _, item in ipairs(items) do ids[#ids + 1] = item.id or (item.early or item.puts_off or item.admits or {}).id end
  runs.read(ids)
end

function runs.of(id)
  if not runs.by_id[id] then runs.read({id}) end
  return runs.by_id[id]
end

-- An empty run says of an id that it was sent (sent.py); whatever is known of it already stays.
function runs.know(id, seconds)
  redis.call('SET', own .. 'run:' .. id, runs.nothing, 'NX', 'EX', seconds)
end

function runs.change(run)
  if not run.is_changed then runs.changed[#runs.changed + 1] = run end
  run.is_changed, run.exists = true, true
end

-- Nothing that may still go on has a time to live (decisions K11): only an outcome that is an ending starts one. `has_ended` is set
-- by whoever stores an outcome, and taken away by a claim; a run that only changes otherwise has no outcome, or a GoingOn.
function runs.write()
  local lasting = {}
  for _, run in ipairs(runs.changed) do
    if run.has_ended and argument.known_seconds > 0 then
      redis.call('SETEX', run.key, argument.known_seconds, runs.text_of(run))
    else
      lasting[#lasting + 1] = run.key
      lasting[#lasting + 1] = runs.text_of(run)
    end
  end
  for first = 1, #lasting, SLICE do
    redis.call('MSET', unpack(lasting, first, math.min(first + SLICE - 1, #lasting)))
  end
end

-- Whether the text of an outcome is one of a GoingOn (outcome.py): no ending.
function runs.goes_on(outcome)
  local kind = outcome:match('^{"kind": "(%a+)"')
  return kind == 'retry' or kind == 'replaced'
end

-- A claim that is under way: of this worker, without an outcome.
function runs.claimed_by(id, worker)
  local run = runs.of(id)
  return run.worker == worker and not run.outcome and run
end

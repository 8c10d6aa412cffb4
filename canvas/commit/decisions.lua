-- Decisions on runs: those of run.py, line by line. Comes after runs.lua.

local decisions = {gone = set_of(argument.gone or {})}

-- Below, at or above zero, as the run's (generation, attempt) is before, at or after the one given.
function decisions.compare(run, generation, attempt)
  if run.generation ~= generation then return run.generation - generation end
  return run.attempt - attempt
end

-- The outcome that stands as {outcome, attempt, generation} if it is another one than the transition's; else nil.
function decisions.settle(t)
  local run = runs.of(t.id)
  local order = decisions.compare(run, t.generation, t.attempt)
  if run.outcome and order >= 0 then
    if order == 0 and run.outcome == t.outcome then
      -- revoked before its message was known: now its result can tell what it was
      if t.document and run.outcome:match('^{"kind": "revoked"') then documents.add(t.id, t.document) end
      return nil
    end
    return {run.outcome, run.attempt, run.generation}
  end
  if order > 0 then return {'', run.attempt, run.generation} end
  run.generation, run.attempt, run.outcome = t.generation, t.attempt, t.outcome
  run.worker, run.lease_us, run.early = '', 0, false
  run.has_ended = not t.again
  runs.change(run)
  if t.document then documents.add(t.id, t.document) end
  return nil
end

-- The claim of this message if it is under way, and this worker's.
function decisions.claim_of(message)
  local run = runs.claimed_by(message.id, argument.holder)
  return run and decisions.compare(run, message.generation, message.attempt) == 0 and run
end

-- The message is acknowledged before it runs; the death of its claim will end it. True if its claim is ours.
function decisions.begin_early(message)
  local run = decisions.claim_of(message)
  if not run then return false end
  run.early = true
  runs.change(run)
  return true
end

function decisions.give_back(message)
  local run = decisions.claim_of(message)
  if not run then return end
  run.worker, run.lease_us = '', 0
  runs.change(run)
end

function decisions.settle_unstarted(id, outcome, document, attempt)
  local run = runs.of(id)
  local by_hand = attempt < 0
  if not run.outcome then
    if not by_hand then run.generation, run.attempt = 0, attempt end
  elseif runs.goes_on(run.outcome) and (by_hand or run.attempt + 1 == attempt) then
    run.attempt = run.attempt + 1
  else
    return
  end
  run.outcome = outcome
  run.worker, run.lease_us, run.lost, run.early = '', 0, 0, false
  run.has_ended = true
  runs.change(run)
  documents.add(id, document)
end

function decisions.restart(id, generation)
  local run = runs.of(id)
  if run.generation >= generation then return end
  run.generation, run.attempt, run.outcome, run.worker = generation, 0, nil, ''
  run.lease_us, run.lost, run.early, run.has_ended = 0, 0, false, false
  runs.change(run)
  documents.forget(id)
end

-- Mostly nothing is, which is looked up once: whatever an exchange revokes, it revokes before it claims.
function decisions.is_revoked(message)
  if decisions.any_revoked == nil then decisions.any_revoked = redis.call('EXISTS', keys.revoked) == 1 end
  if not decisions.any_revoked then return false end
  for _, key in ipairs(message.stamps or {}) do
    if redis.call('ZSCORE', keys.revoked, key) then return true end
  end
  return redis.call('ZSCORE', keys.revoked, message.id) or redis.call('ZSCORE', keys.revoked, message.root_id)
end

function decisions.judge(message)
  local run = runs.of(message.id)
  local order = decisions.compare(run, message.generation, message.attempt)
  if run.outcome and order >= 0 then return {'settled', run.outcome, run.attempt, run.generation} end
  if order > 0 then return {'stale'} end
  local same = order == 0
  if same and run.worker ~= '' and run.lease_us > now and not decisions.gone[run.worker] then
    return {'later', run.lease_us, run.worker}
  end
  if decisions.is_revoked(message) then return {'revoked'} end
  if message.eta_us and message.eta_us > now then return {'later', message.eta_us, ''} end
  -- a claim that died counts; a retry or a later generation starts counting anew
  local lost = same and run.lost + (run.worker ~= '' and 1 or 0) or 0
  if lost >= argument.max_lost or (same and run.early and lost > 0) then
    run.lost = lost
    runs.change(run)
    return {'poison', lost, run.early and 1 or 0}
  end
  run.generation, run.attempt, run.outcome, run.has_ended = message.generation, message.attempt, nil, false
  run.worker, run.lease_us, run.lost, run.early = argument.holder, now + argument.lease_us, lost, false
  run.started_us = now
  runs.change(run)
  return {'run', lost, now}
end

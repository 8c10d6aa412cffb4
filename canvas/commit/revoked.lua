-- Revoking: a sorted set of ids by when they were revoked, and a hash of the signals that go with it. Comes after runs.lua.

local revoked = {}

-- REVOKED at once for what nobody runs, as run.py decides; its message, when it comes, finds that it ended so. True if it is.
function revoked.settle(id, document)
  local run = runs.of(id)
  if not run.outcome then
    if run.worker ~= '' and run.lease_us > now then return false end
  elseif runs.goes_on(run.outcome) then
    run.attempt = run.attempt + 1
  else
    return false
  end
  run.outcome, run.worker, run.lease_us, run.early, run.has_ended = argument.revoked, '', 0, false, true
  runs.change(run)
  documents.add(id, document)
  return true
end

-- What is revoked does not start, and a timer of it is due now, so that what depends on it is settled.
function revoked.remember(id, signum)
  redis.call('ZADD', keys.revoked, now, id)
  if signum > 0 then redis.call('HSET', keys.signums, id, signum) else redis.call('HDEL', keys.signums, id) end
  timers.hasten(id)
end

-- Ids from `first` on, each followed by its document.
function revoked.revoke(row, first)
  for i = first, #row, 2 do
    revoked.settle(row[i], row[i + 1])
    revoked.remember(row[i], 0)
  end
end

function revoked.forget(id)
  redis.call('ZREM', keys.revoked, id)
  redis.call('HDEL', keys.signums, id)
end

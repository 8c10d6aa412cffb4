-- Effects: what each does, by its name; its arguments follow the name (RedisBatch.effect). Comes after sending.lua; joins.lua and
-- celery_chord.lua add theirs.

local effects = {}

function effects.publish(e) sending.publish(e[2], e[3], e[4], e[5], e[6]) end
function effects.settle(e) decisions.settle_unstarted(e[2], e[3], e[4], e[5]) end
function effects.open_chain(e) redis.call('SETNX', own .. 'chain:' .. e[2], e[3]) end
function effects.keep_chain(e) redis.call('PERSIST', own .. 'chain:' .. e[2]) end
function effects.close_chain(e) expire(own .. 'chain:' .. e[2]) end
function effects.revoke(e) revoked.revoke(e, 2) end

function effects.open_plan(e)
  local root, id, text, seconds = e[2], e[3], e[4], e[5]
  local key = own .. 'plan:' .. root
  redis.call('HSETNX', key, id, text)
  redis.call('SET', own .. 'canvas:' .. id, root, 'NX')
  if seconds > 0 then
    redis.call('EXPIRE', key, seconds)
    redis.call('EXPIRE', own .. 'canvas:' .. id, seconds)
  end
end

-- Ids of canvases, and from the fourth item on those of tasks.
function effects.restart(e)
  for _, id in ipairs(e[3]) do revoked.forget(id) end
  for i = 4, #e do
    revoked.forget(e[i])
    decisions.restart(e[i], e[2])
  end
end

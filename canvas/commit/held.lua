-- What an exchange takes hold of, and what it lets go: gathered, so that all of it is a few calls. Comes after store.lua.
--
-- A holding is named `holder#serial#list`. kombu's `unacked` keeps the message as kombu does, so that a Celery worker can give it back
-- if no backbeat is left; our own index of leases says when our sweeper does (decisions K14). What kombu could not read, and the
-- outbox, which it must not touch, is kept in a hash of ours. So is what was acknowledged before it ran (decisions K9): no Celery worker
-- must get it again, so it comes back by the queue that backbeat's workers alone serve.

local held = {unacked = {}, unacked_index = {}, leases = {}, texts = {}, done = {}, until_us = 0}

function held.add(list, text, is_readable, lease_us)
  local tag = argument.holder .. '#' .. serials.next() .. '#' .. list
  local leases, until_us = held.leases, now + lease_us
  leases[#leases + 1] = until_us
  leases[#leases + 1] = tag
  if list == lists.of(lists.outbox) or not is_readable then
    held.texts[#held.texts + 1] = tag
    held.texts[#held.texts + 1] = text
  else
    local unacked, index = held.unacked, held.unacked_index
    unacked[#unacked + 1] = tag
    unacked[#unacked + 1] = '[' .. text .. lists.tail_of(list)
    index[#index + 1] = now / 1000000
    index[#index + 1] = tag
  end
  held.until_us = math.max(held.until_us, until_us)
  return tag
end

function held.drop(tag)
  held.done[#held.done + 1] = tag
end

-- From kombu's hash to ours, see put_back in holding.lua.
function held.keep_early(tag)
  local list = lists.of_tag(tag)
  local value = list and redis.call('HGET', keys.unacked, tag)
  if not value then return end
  redis.call('HSET', keys.early, tag, value:sub(2, #value - #lists.tail_of(list)))
  redis.call('HDEL', keys.unacked, tag)
  redis.call('ZREM', keys.unacked_index, tag)
end

function held.write()
  if #held.done > 0 then
    sliced('HDEL', keys.unacked, held.done)
    sliced('ZREM', keys.unacked_index, held.done)
    sliced('ZREM', keys.leases, held.done)
    sliced('HDEL', keys.held, held.done)
    sliced('HDEL', keys.early, held.done)
  end
  sliced('HSET', keys.unacked, held.unacked)
  sliced('ZADD', keys.unacked_index, held.unacked_index)
  sliced('HSET', keys.held, held.texts)
  sliced('ZADD', keys.leases, held.leases)
  if held.until_us > 0 then redis.call('ZADD', keys.holders, 'GT', held.until_us, argument.holder) end
end

-- Messages that may run now go into their lists, and their ids become known (sent.py): what a client sends, mostly. The large script would
-- do the same, and takes several times as long before it begins. Answers as exchange.lua does.
--
-- ARGV: how many lists; each with its key, how many texts, and these; then keys of runs, each with the seconds for which it is known.

local EMPTY_RUN = '0 0 0 0 \n' -- as runs.lua's
local SLICE = 1000

local time = redis.call('TIME')
local lists, at = {}, 2
for _ = 1, tonumber(ARGV[1]) do
  local key, count = ARGV[at], tonumber(ARGV[at + 1])
  lists[#lists + 1] = {key = key, first = at + 2, last = at + 1 + count}
  at = at + 2 + count
  -- a script that fails in the middle is not undone, so look first
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'list' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE key ' .. key .. ' has the name of a queue and is not a list')
  end
end
for i = at, #ARGV, 2 do redis.call('SET', ARGV[i], EMPTY_RUN, 'NX', 'EX', ARGV[i + 1]) end
for _, list in ipairs(lists) do
  for first = list.first, list.last, SLICE do
    redis.call('LPUSH', list.key, unpack(ARGV, first, math.min(first + SLICE - 1, list.last)))
  end
end
return {tonumber(time[1]) * 1000000 + tonumber(time[2]), {}, {}, {}, {}, {}, {}}

-- Documents of tasks that have not ended: each is written unless what is there says that the task has (telling, see base.Commit).
-- Arguments: ids, documents.

-- Also of what cannot be read here: a compressed document is large, and so nearly always an ending.
local function has_ended(text)
  local is_read, document = pcall(cjson.decode, text)
  return not is_read or type(document) ~= 'table' or type(document.date_done) == 'string'
end

if argument.result_db >= 0 then redis.call('SELECT', argument.result_db) end
for i, id in ipairs(argument.ids) do
  local text = redis.call('GET', prefix .. 'celery-task-meta-' .. id)
  if not text or not has_ended(text) then
    documents.add(id, argument.documents[i])
  end
end
documents.write()
return #documents.added

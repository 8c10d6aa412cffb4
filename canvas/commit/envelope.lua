-- What a claim needs to know of a message, out of its envelope. Whatever is unusual gives nil: then Python, which knows all forms,
-- reads it and brings it back to be claimed. Comes after store.lua.

local dates = {}

-- Days since 1970 of a date in the Gregorian calendar (Howard Hinnant's days_from_civil).
function dates.days_of(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

function dates.offset_minutes(text)
  if text == '' or text == 'Z' then return 0 end
  local sign, hours, minutes = text:match('^([+-])(%d%d):?(%d%d)$')
  if not sign then return nil end
  return (sign == '-' and -1 or 1) * (tonumber(hours) * 60 + tonumber(minutes))
end

-- Microseconds since 1970 UTC of an ISO 8601 text as isoformat() writes it; without an offset it is UTC.
function dates.us_of_iso(text)
  local year, month, day, hour, minute, second, rest =
    text:match('^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$')
  if not year then return nil end
  local fraction = rest:match('^%.(%d+)')
  local offset = dates.offset_minutes(fraction and rest:sub(#fraction + 2) or rest)
  if not offset then return nil end
  local micros = tonumber(((fraction or '') .. '000000'):sub(1, 6))
  local minutes = (dates.days_of(tonumber(year), tonumber(month), tonumber(day)) * 24 + tonumber(hour)) * 60 + tonumber(minute)
  return ((minutes - offset) * 60 + tonumber(second)) * 1000000 + micros
end

local envelopes = {}

function envelopes.is_missing(value)
  return value == nil or value == cjson.null
end

-- A count in a header: absent is 0, anything but a small whole number is nil.
function envelopes.count_of(value)
  if envelopes.is_missing(value) then return 0 end
  if type(value) ~= 'number' or value % 1 ~= 0 or math.abs(value) > 1000000000 then return nil end
  return value
end

-- Printable ASCII, as all ids are that clients draw: of other characters only Python knows which may be in an id, and a claim under one that
-- Python refuses would be nobody's, and stay.
function envelopes.is_id(value)
  return type(value) == 'string' and value ~= '' and #value <= 255 and not value:find('[^\32-\126]')
end

-- The keys by which what has these headers is revoked besides its ids, as stamp.py makes them; nil for values other than texts, which only
-- Python writes in one way, and for what is none.
function envelopes.stamp_keys(headers)
  local keys, names, stamps = {}, headers.stamped_headers, headers.stamps
  if envelopes.is_missing(names) or envelopes.is_missing(stamps) then return keys end
  if type(names) ~= 'table' or type(stamps) ~= 'table' then return nil end
  for _, name in ipairs(names) do
    local values = stamps[name]
    if type(name) ~= 'string' or (type(values) == 'table' and values[1] == nil) then return nil end
    for _, value in ipairs(type(values) == 'table' and values or {values}) do
      if type(value) ~= 'string' then return nil end
      keys[#keys + 1] = 'stamp:' .. redis.sha1hex(name .. '\nt' .. value)
    end
  end
  return keys
end

function envelopes.message_of(envelope)
  local headers = envelope.headers
  if type(headers) ~= 'table' or not envelopes.is_id(headers.id) then return nil end
  local message = {
    id = headers.id,
    attempt = envelopes.count_of(headers.retries),
    generation = envelopes.count_of(headers.backbeat_generation),
    root_id = headers.root_id,
    stamps = envelopes.stamp_keys(headers),
  }
  if not message.attempt or not message.generation or not message.stamps then return nil end
  -- what tells of the end of a canvas is not revoked with it
  if envelopes.is_missing(message.root_id) or message.root_id == '' or not envelopes.is_missing(headers.backbeat_errback) then
    message.root_id = headers.id
    if not envelopes.is_missing(headers.backbeat_errback) then message.stamps = {} end
  end
  if type(message.root_id) ~= 'string' then return nil end
  if not envelopes.is_missing(headers.eta) then
    message.eta_us = type(headers.eta) == 'string' and dates.us_of_iso(headers.eta)
    if not message.eta_us then return nil end
  end
  return message
end

-- Reads fields of hashes, no value longer than so many bytes. It writes nothing, so a replica and a
-- login that may only read run it too.
-- By hand: redis-cli --eval cut.lua bull:mail:1 , 4096 stacktrace name failedReason stacktrace
-- KEYS: the hashes. ARGV: most bytes, the field whose end is kept instead of its beginning, fields
-- Returns for each hash its values, null where a field is missing.
-- Cost: 1 ms for some 500 values.
local most, tail = tonumber(ARGV[1]), ARGV[2]
local rows = {}
for i, key in ipairs(KEYS) do
  local row = {}
  for field = 3, #ARGV do
    local value = redis.call('HGET', key, ARGV[field])
    if value and #value > most then
      value = ARGV[field] == tail and string.sub(value, -most) or string.sub(value, 1, most)
    end
    row[field - 2] = value
  end
  rows[i] = row
end
return rows

-- Counts the jobs that completed and failed, by the newest events of a queue, back to the newest
-- event of one kind. A failure does not count when the job completed or was removed later, or failed
-- jobs were cleaned. One event may have megabytes, so 20 are read at a time.
-- By hand: redis-cli --eval events.lua bull:mail:events , 1000 16777216 paused
-- KEYS: events. ARGV: most events, most bytes, the kind of event at which to stop, or ''
-- Returns how many jobs completed and failed, how many events were read, and the id of the event at
-- which it stopped, '' where there was none.
-- Cost: 1 ms for some 500 events.
local before, left, bytes, kind = '+', tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local completed, failed, seen = 0, 0, 0
local over, cleaned = {}, false
while left > 0 and bytes > 0 do
  local page = redis.call('XREVRANGE', KEYS[1], before, '-', 'COUNT', math.min(left, 20))
  for _, event in ipairs(page) do
    local what, job = '', ''
    for i = 1, #event[2], 2 do
      local value = event[2][i + 1]
      bytes = bytes - #value
      if event[2][i] == 'event' then what = value end
      if event[2][i] == 'jobId' then job = value end
    end
    if what == kind then return {completed, failed, seen, event[1]} end
    if what == 'completed' then completed = completed + 1 end
    if what == 'failed' and not cleaned and not over[job] then failed = failed + 1 end
    if what == 'completed' or what == 'removed' then over[job] = true end
    if what == 'cleaned' then cleaned = true end
    before, seen = event[1], seen + 1
  end
  if #page < 20 then break end
  local ms, seq = string.match(before, '(%d+)-(%d+)')
  if seq == '0' then before = string.format('%.0f', tonumber(ms) - 1)
  else before = ms .. '-' .. string.format('%.0f', tonumber(seq) - 1) end
  left = left - #page
end
return {completed, failed, seen, ''}

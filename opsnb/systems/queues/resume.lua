-- Resumes a queue, whichever of the two lists its waiting jobs are in.
-- Files: layout.lua, lists.lua, resume.lua
-- KEYS: meta, wait, paused, marker, events, prioritized, delayed. ARGV: most entries to move,
-- field of the note
-- Returns 0 when the queue runs, or how many entries must still move first: call it again.
-- Cost: as lists.lua, for the entries that it moves; otherwise less than 1 ms.
local meta, wait, paused, marker, events, prioritized, delayed = unpack(KEYS)
local most = tonumber(ARGV[1])
local is_paused = server.call('HEXISTS', meta, 'paused') == 1
if not is_paused and server.call('EXISTS', paused) == 0 then
  server.call('HDEL', meta, ARGV[2])
  return 0
end
if server.call('EXISTS', wait) == 0 then
  if server.call('EXISTS', paused) == 1 then server.call('RENAME', paused, wait) end
elseif server.call('EXISTS', paused) == 1 then
  -- Both have jobs. A BullMQ 4 or 5 that resumes at the same time renames `paused` over `wait`. So
  -- while it is paused, the list that could be lost is the one that shrinks.
  local from = paused
  if is_paused and own < 6 then
    from = wait
    move_behind(wait, paused, most)
    if server.call('EXISTS', wait) == 0 then server.call('RENAME', paused, wait) end
  else
    move_ahead(paused, wait, most)
  end
  if server.call('EXISTS', paused) == 1 then return server.call('LLEN', from) end
end
server.call('HDEL', meta, 'paused', ARGV[2])
if own == 4 then
  wake_by_wait(string.sub(meta, 1, -6))
elseif server.call('LLEN', wait) + server.call('ZCARD', prioritized) > 0 then
  server.call('ZADD', marker, 0, '0')
else
  local next_job = server.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if next_job[2] then server.call('ZADD', marker, tonumber(next_job[2]) / 0x1000, '1') end
end
server.call('XADD', events, '*', 'event', 'resumed')
return 0

-- Pauses a queue like the version of BullMQ that keeps it.
-- Files: layout.lua, lists.lua, pause.lua
-- KEYS: meta, wait, paused, marker, events. ARGV: most entries to move, field and text of the note
-- Returns 0 when the queue is paused now, -1 when it was paused already, or how many entries must
-- still move first: call it again.
-- Cost: as lists.lua, for the entries that it moves; otherwise less than 1 ms.
local meta, wait, paused, marker, events = unpack(KEYS)
if server.call('HEXISTS', meta, 'paused') == 1 then return -1 end
if own < 6 then
  -- An interrupted resume left jobs there. To rename over them would lose them.
  if server.call('EXISTS', paused) == 1 then
    move_ahead(paused, wait, tonumber(ARGV[1]))
    local left = server.call('LLEN', paused)
    if left > 0 then return left end
  end
  if server.call('EXISTS', wait) == 1 then server.call('RENAME', wait, paused) end
end
-- First the step that needs no memory: after it even a full server runs the rest.
server.call('DEL', marker)
server.call('HSET', meta, 'paused', 1, ARGV[2], ARGV[3])
server.call('XADD', events, '*', 'event', 'paused')
return 0

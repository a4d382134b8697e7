-- Pauses a queue as the version of BullMQ that keeps it does. After layout.lua and lists.lua.
-- KEYS: meta, wait, paused, marker, events. ARGV: most entries to move, field and text of the note
-- Returns how many entries must be moved before it can be paused (call again), -1 when it was
-- paused already, and 0 when it is now.
local meta, wait, paused, marker, events = unpack(KEYS)
if server.call('HEXISTS', meta, 'paused') == 1 then return -1 end
if own < 6 then
  -- A resume that was interrupted has left jobs there. To rename over them would lose them.
  if server.call('EXISTS', paused) == 1 then
    move_ahead(paused, wait, tonumber(ARGV[1]))
    local left = server.call('LLEN', paused)
    if left > 0 then return left end
  end
  if server.call('EXISTS', wait) == 1 then server.call('RENAME', wait, paused) end
end
-- First what takes no memory: after it a full server lets the rest of the script through.
server.call('DEL', marker)
server.call('HSET', meta, 'paused', 1, ARGV[2], ARGV[3])
server.call('XADD', events, '*', 'event', 'paused')
return 0

-- Removes an active job that nobody works on, without its children. After layout.lua.
-- KEYS: meta, the list of active jobs, the job schedulers. ARGV: prefix of job keys, id, when it
-- was taken
-- Returns 1 when it is removed; 0 when it is being worked on: its lock is held; -2 when it was
-- taken again since; -3 when it is not active any more.
-- Cost: as many steps as there are active jobs.
local key = ARGV[1] .. ARGV[2]
if server.call('EXISTS', key .. ':lock') == 1 then return 0 end
if not server.call('LPOS', KEYS[2], ARGV[2]) then return -3 end
if (server.call('HGET', key, 'processedOn') or '') ~= ARGV[3] then return -2 end
return remove({key, KEYS[3]}, {ARGV[2], '0', ARGV[1]})

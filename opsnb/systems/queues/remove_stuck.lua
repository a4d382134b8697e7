-- Removes an active job that has no worker, without its children.
-- Files: layout.lua, BullMQ's removeJob as `remove`, remove_stuck.lua
-- KEYS: meta, the list of active jobs, the job schedulers. ARGV: prefix of job keys, id, when it
-- started
-- Returns 1 when it is removed, 0 when it is locked because a worker is running it, -2 when it was
-- started again since, -3 when it is no longer active.
-- Cost: one step for each active job.
local key = ARGV[1] .. ARGV[2]
if server.call('EXISTS', key .. ':lock') == 1 then return 0 end
if not server.call('LPOS', KEYS[2], ARGV[2]) then return -3 end
if (server.call('HGET', key, 'processedOn') or '') ~= ARGV[3] then return -2 end
return remove({key, KEYS[3]}, {ARGV[2], '0', ARGV[1]})

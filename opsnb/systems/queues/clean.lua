-- Removes the oldest jobs of a state with BullMQ's own `clean`: all of them, or none.
-- Files: layout.lua, BullMQ's cleanJobsInSet as `clean`, kept.lua, clean.lua
-- KEYS: meta, the state's set, events, the job schedulers. ARGV: prefix of job keys, latest score,
-- count, state
-- Returns how many jobs there are, and how many of them it removed: 0 when one of them is running or
-- must stay.
-- Cost: 1 ms for some 100 jobs.
local jobs = server.call('ZRANGEBYSCORE', KEYS[2], 0, ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(jobs) do
  local key = ARGV[1] .. id
  local job = server.call('HMGET', key, 'parentKey', 'rjk')
  if server.call('EXISTS', key .. ':lock') == 1
    or is_kept(key, id, job[1], job[2], KEYS[4]) then
    return {#jobs, 0}
  end
end
if #jobs == 0 then return {0, 0} end
return {#jobs, #clean({KEYS[2], KEYS[3], KEYS[4]}, ARGV)}

-- Reads a page of finished jobs, the oldest first, and changes nothing. It leaves out jobs that do not
-- match, and those that are running: a worker holds their lock.
-- Files: kept.lua, page.lua
-- KEYS: the state's set, the job schedulers. ARGV: prefix of job keys, first and last score, offset,
-- count, name, reason
-- Returns how many jobs were read, the last score, and how many at the end have it; how many match,
-- and their ids; how many of these must stay, their ids, and how many of these belong to a
-- scheduler; how many more match but are running.
-- Cost: 1 ms for some 300 jobs.
local page = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[3], 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
local chosen, kept, scheduled, running, last, ties = {}, {}, 0, 0, '', 0
for i = 1, #page, 2 do
  local id, score = page[i], page[i + 1]
  if score == last then ties = ties + 1 else last, ties = score, 1 end
  local key = ARGV[1] .. id
  local job = redis.call('HMGET', key, 'name', 'failedReason', 'parentKey', 'rjk')
  if (ARGV[6] == '' or job[1] == ARGV[6])
    and (ARGV[7] == '' or string.find(job[2] or '', ARGV[7], 1, true)) then
    if redis.call('EXISTS', key .. ':lock') == 1 then
      running = running + 1
    else
      chosen[#chosen + 1] = id
      local why = is_kept(key, id, job[3], job[4], KEYS[2])
      if why then kept[#kept + 1] = id end
      if why == 'scheduled' then scheduled = scheduled + 1 end
    end
  end
end
return {
  #page / 2, last, ties, #chosen, cjson.encode(chosen), #kept, cjson.encode(kept), scheduled, running}

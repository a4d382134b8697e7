-- Removes finished jobs, without their children, with BullMQ's own `remove`.
-- Files: layout.lua, BullMQ's removeJob as `remove`, finished.lua, kept.lua, remove.lua
-- KEYS[3]: the job schedulers. The others and ARGV: finished.lua
-- Cost: 1 ms for some 60 jobs.
return each_finished(function(id, key)
  local job = server.call('HMGET', key, 'parentKey', 'rjk')
  if is_kept(key, id, job[1], job[2], KEYS[3]) then return -4 end
  return remove({key, KEYS[3]}, {id, '0', ARGV[1]})
end)

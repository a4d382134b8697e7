-- Makes BullMQ's scripts of version 6, the only ones in its Python client, act in the layout of the
-- version that keeps the queue. The queue's `meta` names that version, such as bullmq:5.81.5:
--   4, 5  While a queue is paused, its waiting jobs are in the list `paused`; from 6 in `wait`.
--   4     There is no key `marker`. Workers wait on `wait`; an entry 0:0 there wakes them because
--         there are prioritized jobs.
-- KEYS[1] of every script is the queue's `meta`. With an unknown version nothing changes.
-- Cost: one HMGET for each job that is put into a list.
local server = redis

local function major(version)
  local number = tonumber(string.match(version or '', '^bullmq:(%d+)%.'))
  return number and number >= 4 and number <= 6 and number or nil
end

local own = major(server.call('HGET', KEYS[1], 'version'))
if not own then return server.error_reply('LAYOUT unknown') end

-- A parent's queue may have another version; if it names none, it has the same one.
local function read(queue)
  local meta = server.call('HMGET', queue .. ':meta', 'version', 'paused')
  return major(meta[1]) or own, meta[2]
end

local function wake_by_wait(queue)
  local is_empty = server.call('LLEN', queue .. ':wait') == 0
  if is_empty and server.call('ZCARD', queue .. ':prioritized') > 0 then
    server.call('LPUSH', queue .. ':wait', '0:0')
  end
end

local redis = {call = function(command, key, ...)
  if command == 'LPUSH' or command == 'RPUSH' then
    local queue = string.match(key, '^(.*):wait$')
    if queue then
      local version, paused = read(queue)
      if paused and version < 6 then key = queue .. ':paused' end
    end
  elseif command == 'ZADD' then
    local queue = string.match(key, '^(.*):marker$')
    if queue and read(queue) == 4 then return wake_by_wait(queue) end
  end
  return server.call(command, key, ...)
end}

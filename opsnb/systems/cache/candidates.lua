-- Reads some keys from a cursor on and returns those that may be the bookkeeping of a queue. It
-- runs in the server, because carrying a million names out takes longer than reading them there.
-- By hand: redis-cli --eval candidates.lua , 0 1000 meta wait active
-- ARGV: cursor, count, the last parts of the keys of queues
-- Returns the next cursor, "0" at the end, and the keys.
-- Cost: 1 ms for some 1,000 keys.
local found = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local parts, near = {}, {}
for at = 3, #ARGV do parts[ARGV[at]] = true end
for _, key in ipairs(found[2]) do
  local last = string.match(key, '([^:]*)$')
  if parts[last] or last == 'QUEUES' or string.find(key, 'queue', 1, true)
    or key == 'q:job:types' or string.find(key, 'horizon:', 1, true)
    or string.sub(key, 1, 7) == '_kombu.' or string.sub(key, 1, 9) == 'dramatiq:'
    or string.sub(key, 1, 5) == 'huey.' then
    near[#near + 1] = key
  end
end
return {found[1], near}

"""What runs inside Redis: a look at a page of jobs, and BullMQ's own scripts made to hold back.

To look there costs a millisecond a thousand jobs, and nothing but the answer is carried over.
"""

from __future__ import annotations

from bullmq.redis_connection import loadScript

PAGE = """
-- One page of finished jobs, the oldest first, none of them changed: those that match, and among
-- these the children that a parent still waits for.
-- KEYS: the state's set. ARGV: prefix of job keys, first and last score, offset, count, name,
-- reason
local page = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[2], ARGV[3], 'WITHSCORES', 'LIMIT', ARGV[4], ARGV[5])
local chosen, held, last, ties = {}, {}, '', 0
for i = 1, #page, 2 do
  local id, score = page[i], page[i + 1]
  if score == last then ties = ties + 1 else last, ties = score, 1 end
  local key = ARGV[1] .. id
  local job = redis.call('HMGET', key, 'name', 'failedReason', 'parentKey')
  if (ARGV[6] == '' or job[1] == ARGV[6])
    and (ARGV[7] == '' or string.find(job[2] or '', ARGV[7], 1, true)) then
    if job[3] and redis.call('SISMEMBER', job[3] .. ':dependencies', key) == 1 then
      held[#held + 1] = id
    end
    chosen[#chosen + 1] = id
  end
end
return {#page / 2, last, ties, #chosen, cjson.encode(chosen), #held, cjson.encode(held)}
"""

# The last key is the state's set and the last argument the latest score: a job that has left the
# set since it was chosen, or has come back, is somebody else's.
_STILL_THERE = """
local since = redis.call('ZSCORE', KEYS[#KEYS], ARGV[1])
if not since or tonumber(since) > tonumber(ARGV[#ARGV]) then return -3 end
"""

# The last key is the list of active jobs. The last argument is the token of the dead worker's
# lock, empty when the lock has expired: whoever has locked the job since then is at work on it.
_STILL_STUCK = """
local token = redis.call('GET', KEYS[1] .. ':lock')
if (token or '') ~= ARGV[#ARGV] then return -2 end
if not redis.call('LPOS', KEYS[#KEYS], ARGV[1]) then return -3 end
if token then redis.call('DEL', KEYS[1] .. ':lock') end
"""

CLEAN = f"""
local function clean() {loadScript("cleanJobsInSet-3.lua")} end
return #clean()
"""
"""BullMQ's clean of a state; answers how many, where its own answers every id."""

RETRY_ALL = f"""
local function move() {loadScript("moveJobsToWait-8.lua")} end
-- BullMQ's bulk retry would lose the priority of a job, so whoever has one is named instead.
local jobs = redis.call('ZRANGEBYSCORE', KEYS[3], 0, ARGV[2], 'LIMIT', 0, ARGV[1])
local first = {{}}
for _, id in ipairs(jobs) do
  if (tonumber(redis.call('HGET', KEYS[1] .. id, 'priority')) or 0) > 0 then
    first[#first + 1] = id
  end
end
if #first == 0 and #jobs > 0 then move() end
return {{#jobs, first}}
"""
"""BullMQ's retry of all; answers how many were next and, when nothing was moved, who hindered."""

RETRY = _STILL_THERE + loadScript("reprocessJob-9.lua")
REMOVE = _STILL_THERE + loadScript("removeJob-2.lua")
REMOVE_STUCK = _STILL_STUCK + loadScript("removeJob-2.lua")

DONE = 1
"""What the three answer when they have done it."""

-- Does `one`, a function of BullMQ's, to finished jobs, each only if it still is as it was chosen:
-- a job that has left the set since, or has come back, is somebody else's, and one whose lock is
-- held is being worked on. After layout.lua.
-- KEYS: meta, the state's set, those of `one` but for the job's. ARGV: prefix of job keys, latest
-- score, ids
-- Returns for each id: 1 done, 0 being worked on, less than 0 left alone.
local function each_finished(one)
  local answers = {}
  for i = 3, #ARGV do
    local id, key = ARGV[i], ARGV[1] .. ARGV[i]
    local ended = server.call('ZSCORE', KEYS[2], id)
    if not ended or tonumber(ended) > tonumber(ARGV[2]) then
      answers[#answers + 1] = -3
    elseif server.call('EXISTS', key .. ':lock') == 1 then
      answers[#answers + 1] = 0
    else
      answers[#answers + 1] = one(id, key)
    end
  end
  return answers
end

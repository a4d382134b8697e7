-- Applies `one`, a function of the file that follows, to each finished job that has not changed since
-- it was chosen: not to one that left the set, came back, or is locked because a worker is running it.
-- Files: layout.lua, finished.lua, then retry.lua or kept.lua and remove.lua
-- KEYS: meta, the state's set, and the keys of `one` without the job's. ARGV: prefix of job keys,
-- latest score, ids
-- Returns for each id: 1 done, 0 running, less than 0 skipped.
-- Cost: that of `one` for each id.
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

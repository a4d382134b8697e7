-- Says why a finished job must stay: `scheduled`, `awaited`, or nil if it may go.
-- Cost: two reads for a job.
local function is_kept(key, id, parent, scheduler, schedulers)
  -- Its scheduler makes the next job from this one.
  local due = scheduler and redis.call('ZSCORE', schedulers, scheduler)
  if due and id == 'repeat:' .. scheduler .. ':' .. due then return 'scheduled' end
  -- A parent waits for it: with the last child BullMQ would remove or start the parent.
  if parent and redis.call('SISMEMBER', parent .. ':dependencies', key) == 1 then return 'awaited' end
  return nil
end

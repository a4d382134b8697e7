-- Whether a finished job must not be removed.
local function is_kept(key, id, parent, scheduler, schedulers)
  -- Its scheduler makes the next job from it.
  local due = scheduler and redis.call('ZSCORE', schedulers, scheduler)
  if due and id == 'repeat:' .. scheduler .. ':' .. due then return 'scheduled' end
  -- A parent waits for it: BullMQ would remove or start the parent with the last of its children.
  if parent and redis.call('SISMEMBER', parent .. ':dependencies', key) == 1 then return 'awaited' end
  return nil
end

-- One step of emptying a queue: see broker.Empty. Arguments: walk, queue,
-- whether it begins, limit. The walk begins by giving the list another name,
-- so that what comes later stays. Answers {deleted, left}.

local walk, queue, begins, limit = arg(), arg(), arg() == '1', num()
local list = WALK .. walk .. ':' .. queue
if begins and call('EXISTS', QUEUE .. queue) == 1 then call('RENAME', QUEUE .. queue, list) end
local deleted = 0
for _ = 1, limit do
	local id = call('LPOP', list)
	if not id then break end
	local job = load(id)
	if job and job.status == 'queued' and (job.claim or '') == '' then
		-- What waits for it stays deferred, as in RQ.
		delete(job)
		deleted = deleted + 1
	end
end
local left = call('LLEN', list)
if left > 0 then
	call('ZADD', WALKS, now, walk .. ':' .. queue)
else
	call('ZREM', WALKS, walk .. ':' .. queue)
end
return {deleted, left}

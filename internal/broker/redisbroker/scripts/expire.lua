-- Deletes what is over: see broker.Sweep. Arguments: limit, queues to look at.
-- Answers {deleted}.

local limit = num()
local deleted = 0

local function room() return math.max(limit - deleted, 0) end

for _, member in ipairs(call('ZRANGEBYSCORE', TTL, '-inf', whole(now_us), 'LIMIT', 0, room())) do
	local cut = string.find(member, '\0', 1, true) or 0
	local queue, id = string.sub(member, 1, cut - 1), string.sub(member, cut + 1)
	local job = load(id)
	if not job or (job.claim or '') == '' then
		call('ZREM', TTL, member)
		if not job or job.ttl and job.status == 'queued' and job.queue == queue then
			call('LREM', QUEUE .. queue, 1, id)
			delete(job or {id = id, queue = queue, attempt = 0})
			deleted = deleted + 1
		end
	end
end

local function sweep(registry, queue, first, second)
	for _, id in ipairs(try('ZRANGEBYSCORE', registry .. queue, 0, now, 'LIMIT', 0, room()) or {}) do
		call('ZREM', registry .. queue, id)
		local job = load(id)
		if not job or job.status == first or job.status == second then
			delete(job or {id = id, queue = queue, attempt = 0})
			deleted = deleted + 1
		end
	end
end

for _, queue in ipairs(args()) do
	sweep(FINISHED, queue, 'finished')
	sweep(FAILED, queue, 'failed', 'stopped')
end
return {deleted}

-- One step of emptying a queue: see broker.Empty. Arguments: walk, queue,
-- whether it begins, limit. The walk begins by giving the list another name,
-- so that what comes later stays. Answers {deleted, left}.

local walk, queue, begins, limit = arg(), arg(), arg() == '1', num()
local list = WALK .. walk .. ':' .. queue
if begins and call('EXISTS', QUEUE .. queue) == 1 then call('RENAME', QUEUE .. queue, list) end
local ids = call('LRANGE', list, 0, limit - 1)
if #ids > 0 then call('LTRIM', list, #ids, -1) end
local deleted, keys, gone = 0, {}, {}
for _, id in ipairs(ids) do
	local v = try('HMGET', JOB .. id, 'status', 'origin', 'created_at', 'ttl', 'group_id', F_CLAIM, F_ATTEMPT)
	if v and not gone[id] and (v[2] or v[3]) and v[1] == 'queued' and (v[6] or '') == '' then
		-- What waits for it stays deferred, as in RQ.
		local job = {id = id, queue = v[2] or '', ttl = lifetime(v[4])}
		for _, key in ipairs{JOB .. id, JOB .. id .. DEPENDENTS, PARENTS .. id .. NEEDS, RESULTS .. id} do keys[#keys + 1] = key end
		waits_no_more(job)
		if (v[5] or '') ~= '' then try('SREM', GROUP .. v[5], id) end
		feed(id, job.queue, '', '', int(v[7]))
		deleted, gone[id] = deleted + 1, true
	end
end
if deleted > 0 then call('UNLINK', unpack(keys)) end
local left = call('LLEN', list)
if left > 0 then
	call('ZADD', WALKS, now, walk .. ':' .. queue)
else
	call('ZREM', WALKS, walk .. ':' .. queue)
end
return {deleted, left}

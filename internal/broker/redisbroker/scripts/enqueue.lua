-- Stores new jobs: see broker.Enqueue. Arguments: per job its id, queue,
-- fingerprint, due time in microseconds ('' when it is queued now), ttl in
-- seconds ('' for none) and fields. Answers 0 stored, 1 repeated, 2 conflict.

local results, known, earliest = {}, {}, nil
for i = 1, num() do
	local id, queue, print, due, ttl, fields = arg(), arg(), arg(), arg(), tonumber(arg()), args()
	local there = call('HMGET', JOB .. id, 'created_at', 'data', F_PRINT)
	if there[1] or there[2] then
		results[i] = print ~= '' and there[3] == print and 1 or 2
	else
		results[i] = 0
		-- The first write is one that Redis refuses when memory is full: behind
		-- another one it would let the script go on.
		local seq = call('INCR', SEQ)
		call('UNLINK', JOB .. id, RESULTS .. id)
		call('HSET', JOB .. id, F_SEQ, seq, unpack(fields))
		if not known[queue] then
			known[queue] = true
			call('SADD', QUEUES, QUEUE .. queue)
		end
		local job = {id = id, queue = queue, ttl = ttl}
		if due ~= '' then
			call('ZADD', SCHEDULED .. queue, math.ceil(tonumber(due) / 1000000), id)
			feed(id, queue, 'scheduled')
			earliest = math.min(earliest or tonumber(due), tonumber(due))
		else
			if ttl then
				expire(job, ttl)
				waits_until(job, now_us + ttl * 1000000)
			end
			call('RPUSH', QUEUE .. queue, id)
			feed(id, queue, 'queued')
		end
	end
end
if earliest then call('PUBLISH', wake, 'due ' .. whole(earliest)) end
return results

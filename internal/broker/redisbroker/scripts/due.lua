-- Moves scheduled jobs whose time has come: see broker.Sweep. Arguments: value
-- of the scheduler's lock, its life in seconds, limit, queues to schedule for.
-- The lock is RQ's, so one scheduler serves a queue, of whatever make; it is
-- verified in the step that moves, and only what is removed is pushed.
-- Answers {moved, earliest due second ('' for none), processes and beats}.

local LATE_HASH = 60 -- seconds: stock clients write the registry before the job
local lock, life, limit = arg(), num(), num()
local moved, next_due = 0, nil

local function owns(queue)
	local value = call('GET', LOCK .. queue)
	if not value then
		call('SET', LOCK .. queue, lock, 'EX', life)
		return true
	end
	if value == lock then call('EXPIRE', LOCK .. queue, life) end
	return value == lock
end

local function by_due(a, b)
	local ad, bd = tonumber(a.due) or a.score * 1000000, tonumber(b.due) or b.score * 1000000
	if ad ~= bd then return ad < bd end
	return a.seq < b.seq
end

for _, queue in ipairs(args()) do
	if owns(queue) then
		local found = call('ZRANGEBYSCORE', SCHEDULED .. queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, math.max(limit - moved, 0))
		local jobs = {}
		for i = 1, #found, 2 do
			local job = load(found[i])
			if job and job.status ~= 'canceled' then
				rest(job).score, job.queue = tonumber(found[i + 1]), queue
				jobs[#jobs + 1] = job
			elseif job or tonumber(found[i + 1]) < now - LATE_HASH then
				call('ZREM', SCHEDULED .. queue, found[i])
			end
		end
		table.sort(jobs, by_due)
		for _, job in ipairs(jobs) do
			call('ZREM', SCHEDULED .. queue, job.id)
			if job.status ~= 'started' and job.status ~= 'queued' then
				if job.origin ~= queue then set(job, 'origin', queue) end
				enqueue(job, job.enqueue_at_front or job.front_on_retry and job.ended_at ~= '')
				moved = moved + 1
			end
		end
		local first = call('ZRANGE', SCHEDULED .. queue, 0, 0, 'WITHSCORES')
		if first[2] then next_due = math.min(next_due or tonumber(first[2]), tonumber(first[2])) end
	end
end

local beats = {}
for _, process in ipairs(call('SMEMBERS', PROCESSES)) do
	beats[#beats + 1] = process
	beats[#beats + 1] = call('HGET', PROCESS .. process, 'beat') or ''
end
return {moved, next_due and whole(next_due) or '', beats}

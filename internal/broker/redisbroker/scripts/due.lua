-- Moves scheduled jobs whose time has come: see broker.Sweep. Arguments: value
-- of the scheduler's lock, its life in seconds, limit, queues to schedule for.
-- The lock is RQ's, so one scheduler serves a queue, of whatever make; it is
-- verified in the step that moves, and only what is removed is pushed.
-- Answers {moved, earliest due second ('' for none), processes and beats}.

local LATE_HASH = 60 -- seconds: stock clients write the registry before the job
local MOST_LATE = 1000
local ALIVE = 10 -- seconds without a word after which a scheduler of Distro's is gone
local lock, life, limit = arg(), num(), num()
local moved, next_due = 0, nil

-- A reading of the beats counts only where Redis takes writes: else no worker
-- could have beaten.
go_on()

local function owns(queue)
	local value = call('GET', LOCK .. queue)
	if value and value ~= lock and call('SISMEMBER', SCHEDULERS, value) == 1 and call('EXISTS', SCHEDULER .. value) == 0 then
		call('SREM', SCHEDULERS, value)
		value = nil -- it was killed
	end
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

-- due_of is the jobs of a queue that are due. Ids whose hash is not there, yet
-- or any more, are passed over, and dropped once that is not for being early.
local function due_of(queue)
	local jobs, late = {}, 0
	repeat
		local found = call('ZRANGEBYSCORE', SCHEDULED .. queue, '-inf', now, 'WITHSCORES', 'LIMIT', late, math.max(limit - moved - #jobs, 0))
		for i = 1, #found, 2 do
			local job = load(found[i])
			if job and job.status ~= 'canceled' then
				rest(job).score, job.queue = tonumber(found[i + 1]), queue
				jobs[#jobs + 1] = job
				late = late + 1
			elseif job or tonumber(found[i + 1]) < now - LATE_HASH then
				call('ZREM', SCHEDULED .. queue, found[i])
			else
				late = late + 1
			end
		end
	until #found == 0 or late > MOST_LATE
	table.sort(jobs, by_due)
	return jobs
end

local queues = args()
if #queues > 0 then
	call('SET', SCHEDULER .. lock, 1, 'EX', ALIVE)
	call('SADD', SCHEDULERS, lock)
end
for _, queue in ipairs(queues) do
	if is(SCHEDULED .. queue, 'zset') and owns(queue) then
		for _, job in ipairs(due_of(queue)) do
			call('ZREM', SCHEDULED .. queue, job.id)
			if job.status ~= 'started' and job.status ~= 'queued' then
				if job.origin ~= queue then set(job, 'origin', queue) end
				enqueue(job, job.enqueue_at_front or job.front_on_retry and job.ended_at ~= '')
				moved = moved + 1
			end
		end
		local first = call('ZRANGEBYSCORE', SCHEDULED .. queue, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
		if first[2] then next_due = math.min(next_due or tonumber(first[2]), tonumber(first[2])) end
	end
end

local beats = {}
for _, process in ipairs(call('SMEMBERS', PROCESSES)) do
	beats[#beats + 1] = process
	beats[#beats + 1] = beat_of(process)
end
return {moved, next_due and whole(next_due) or '', beats}

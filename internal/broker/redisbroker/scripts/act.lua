-- Applies an action to jobs: see broker.Act. Arguments: action, ids. Answers
-- 0 done, 1 not found, 2 conflict.

local DONE, MISSING, CONFLICT = 0, 1, 2
local action, ids = arg(), args()

-- unlist takes a job that does not run from wherever it stands. It reports
-- whether it stood in the list of its queue.
local function unlist(job)
	local q, id = job.queue, job.id
	if job.status == 'queued' and (job.claim or '') ~= '' and call('ZREM', HELD .. q, id) == 1 then
		local token, process = string.match(job.claim, '^(%S+) (.+)$')
		if token then forget(process, token, job) end
		return false
	end
	local registries = {scheduled = SCHEDULED, deferred = DEFERRED, finished = FINISHED, failed = FAILED, stopped = FAILED, canceled = CANCELED}
	local registry = registries[job.status]
	if registry then
		call('ZREM', registry .. q, id)
		if job.status == 'finished' or job.status == 'failed' or job.status == 'stopped' then return false end
	end
	if job.status ~= 'queued' then return false end
	call('ZREM', FINISHED .. q, id) -- of an earlier run of a job that repeats
	return call('LREM', QUEUE .. q, -1, id) == 1 -- who acts on many begins with the newest
end

local function cancel(job)
	if job.status ~= 'queued' and job.status ~= 'scheduled' and job.status ~= 'deferred' then return CONFLICT end
	unlist(job)
	waits_no_more(job)
	unclaim(job)
	call('PERSIST', JOB .. job.id)
	set(job, 'status', 'canceled', F_CLAIM, '')
	call('ZADD', CANCELED .. job.queue, now, job.id)
	feed(job.id, job.queue, 'canceled', '', job.attempt)
	return DONE
end

local function requeue(job)
	if job.status ~= 'failed' and job.status ~= 'stopped' and job.status ~= 'canceled' then return CONFLICT end
	unlist(job)
	call('PERSIST', JOB .. job.id)
	call('HDEL', JOB .. job.id, 'exc_info')
	enqueue(job, false)
	return DONE
end

local function remove(job)
	if job.status == 'started' then return CONFLICT end
	unlist(job)
	delete(job)
	return DONE
end

local function run_first(job)
	if job.status == 'scheduled' then
		unlist(job)
		enqueue(job, true)
		return DONE
	end
	if job.status ~= 'queued' then return CONFLICT end
	if call('LREM', QUEUE .. job.queue, -1, job.id) == 1 then
		call('LPUSH', QUEUE .. job.queue, job.id)
		set(job, F_FRONT, call('INCR', SEQ))
	end
	return DONE
end

-- stop asks the worker that runs the job: one of Distro's by a note that it
-- finds whenever it asks, a stock one by RQ's command.
local function stop(job)
	if job.status ~= 'started' then return CONFLICT end
	local token, process = string.match(job.claim or '', '^(%S+) (.+)$')
	if token and belongs(job.worker_name, process) then
		if not job.stop then
			set(job, F_STOP, 1)
			call('HSET', STOPS .. process, token, job.id)
			call('PUBLISH', wake, 'worker ' .. process)
		end
	elseif job.worker_name ~= '' then
		call('PUBLISH', COMMANDS .. job.worker_name, '{"command": "stop-job", "job_id": ' .. cjson.encode(job.id) .. '}')
	else
		return CONFLICT
	end
	return DONE
end

local actions = {cancel = cancel, requeue = requeue, delete = remove, ['run-first'] = run_first, stop = stop}
local results = {}
for i, id in ipairs(ids) do
	local job = load(id)
	results[i] = job and actions[action](job) or MISSING
end
return results

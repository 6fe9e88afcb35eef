-- One conversation with a worker process: see broker.Exchange.
-- Arguments: process, instance, beat; its registration, if it is to be made;
-- info ('' unless it changed); then what the loops below read.
-- Answers {'ok', settled, begun, claims, stops, lost, gate}, or {'unknown'} (to
-- be registered), {'taken'} (another process has the name) or {'stale'} (an
-- older call that arrives late). The gate says where it is of use to wait:
-- whether workers are suspended, and the paused queues; it is empty unless there
-- was less than was wanted.

local process, instance, beat = arg(), arg(), num()
local worker_ttl = num()

local function taken(worker)
	local key = WORKER .. worker
	if call('EXISTS', key) == 0 or call('HEXISTS', key, 'death') == 1 then return false end
	local owner = call('HGET', key, 'distro_worker')
	return not owner or owner ~= process and call('EXISTS', PROCESS .. owner) == 1
end

go_on()
local known = call('HMGET', PROCESS .. process, 'instance', 'beat')
local births, upkeep = {}, {}
for i = 1, num() do births[i] = {name = arg(), fields = args()} end
local info, draining = arg(), arg() == '1'
for i = 1, num() do upkeep[i] = {name = arg(), seconds = arg()} end
if known[1] and known[1] ~= instance then return {'taken'} end
if known[1] and tonumber(known[2]) >= beat then return {'stale'} end
if #births == 0 then
	if not known[1] then return {'unknown'} end
	for _, w in ipairs(upkeep) do -- RQ forgets a worker that is silent for long
		if call('HEXISTS', WORKER .. w.name, 'birth') == 0 then return {'unknown'} end
	end
else
	for _, b in ipairs(births) do
		if taken(b.name) then return {'taken'} end
	end
	for _, b in ipairs(births) do
		local key = WORKER .. b.name
		if not known[1] or call('HEXISTS', key, 'birth') == 0 then
			call('DEL', key)
			call('HSET', key, 'birth', now_text, 'last_heartbeat', now_text, 'state', 'idle', 'distro_worker', process, unpack(b.fields))
			call('SADD', WORKERS, key)
			for queue in string.gmatch(call('HGET', key, 'queues') or '', '[^,]+') do
				call('SADD', WORKERS .. ':' .. queue, key)
			end
			call('EXPIRE', key, worker_ttl)
			call('SADD', SLOTS .. process, b.name)
		end
	end
	call('SADD', PROCESSES, process)
	call('HSET', PROCESS .. process, 'instance', instance)
end
call('HSET', PROCESS .. process, 'beat', whole(beat), 'seen', now_text)
if info ~= '' then call('HSET', PROCESS .. process, 'info', info) end
if info ~= '' and draining then -- RQ notes it of a worker that still runs a job
	for _, worker in ipairs(call('SMEMBERS', SLOTS .. process)) do
		if call('HEXISTS', WORKER .. worker, 'current_job') == 1 then
			call('HSET', WORKER .. worker, 'shutdown_requested_date', now_text)
		end
	end
end

-- What the RQ workers of the process show; written once, at the end.
local slots = {}

local function slot(worker)
	if not slots[worker] then slots[worker] = {ended = {}, finished = 0, failed = 0, seconds = 0} end
	return slots[worker]
end

-- Each RQ worker that is to be kept up, with the seconds its job has run.
for _, w in ipairs(upkeep) do
	local key = WORKER .. w.name
	call('HSET', key, 'last_heartbeat', now_text, 'current_job_working_time', w.seconds)
	if call('HEXISTS', key, 'current_job') == 1 then
		call('EXPIRE', key, busy_ttl)
	else
		call('HSET', key, 'state', call('EXISTS', SUSPENDED) == 1 and 'suspended' or 'idle')
		call('EXPIRE', key, worker_ttl)
	end
end
if num() == 1 then
	for _, c in ipairs(claims(process)) do
		if c.begun then
			call('ZADD', STARTED .. c.job.queue, 'XX', now + busy_ttl, c.job.id)
			set(c.job, 'last_heartbeat', now_text)
			if #births > 0 then slot(c.job.worker_name).current = c.job.id end
		end
	end
end

-- drop removes what is left of a claim that is not the process's any more. queue
-- and worker are known of what it was told, worker of what had begun. Where the
-- job is claimed or started, that is by somebody else, whose entries have the
-- same name.
local function drop(id, job, token, worker, queue)
	forget(process, token)
	local claimed = job and job.claim and job.claim ~= ''
	if claimed and job.claim == token .. ' ' .. process then
		call('HDEL', JOB .. id, F_CLAIM, F_STOP)
		claimed = false
	end
	if queue == '' then return end
	if not claimed then call('ZREM', HELD .. queue, id) end
	if worker ~= '' then
		slot(worker).ended[id] = true
		if not job or job.status ~= 'started' then call('ZREM', STARTED .. queue, id) end
	end
end

local begun = {}
for i = 1, num() do
	local id, token, worker, queue = arg(), arg(), arg(), arg()
	local job = load(id)
	local how = holds(job, token, process)
	if how == 'held' then
		job.attempt = job.attempt + 1
		call('ZREM', HELD .. job.queue, id)
		set(job, 'status', 'started', 'started_at', now_text, 'last_heartbeat', now_text, 'worker_name', worker, F_ATTEMPT, job.attempt)
		wait_ends(job)
		call('ZADD', STARTED .. job.queue, now + busy_ttl, id)
		slot(worker).current = id
		feed(id, job.queue, 'started', '', job.attempt, token)
	elseif not how then
		drop(id, job, token, '', queue)
	end
	begun[i] = how and job.attempt or 0
end

local DONE, ALREADY, LOST, GONE = 0, 1, 2, 3
local settled = {}
for i = 1, num() do
	local id, worker, queue, seconds = arg(), arg(), arg(), num()
	local s = {token = arg(), outcome = arg(), started = arg(), ended = arg(), tail = arg(), value = arg(), exc = arg(),
		again = num(), front = arg() == '1'}
	local job = load(id)
	local how = holds(job, s.token, process)
	if how == 'begun' then
		local w = slot(job.worker_name)
		w.ended[id] = true
		w.seconds = w.seconds + seconds
		if s.outcome == 'finished' then w.finished = w.finished + 1 else w.failed = w.failed + 1 end
		end_attempt(job, process, s)
		settled[i] = DONE
	elseif job and job.settled == s.token .. ' ' .. s.outcome then
		settled[i] = ALREADY
	else
		settled[i] = job and LOST or GONE
		if not how then drop(id, job, s.token, worker, queue) end
	end
end

local back, seen = {}, {}
for i = 1, num() do
	local id, token, worker, queue = arg(), arg(), arg(), arg()
	local job = load(id)
	local how = holds(job, token, process)
	if not how then
		drop(id, job, token, worker, queue)
	elseif not seen[id] then
		seen[id] = true
		if how == 'begun' then slot(job.worker_name).ended[id] = true end
		back[#back + 1] = job
	end
end
give_back(back, process)

local lost = {}
if num() == 1 then
	local held, known_tokens = num(), {}
	for i = 1, held do
		local id, token, worker, queue = arg(), arg(), arg(), arg()
		local job = load(id)
		if holds(job, token, process) then
			known_tokens[token] = true
		else
			lost[#lost + 1] = i
			drop(id, job, token, worker, queue)
		end
	end
	local unknown = {}
	for _, c in ipairs(claims(process)) do
		if not known_tokens[c.token] then
			if c.begun then slot(c.job.worker_name).ended[c.job.id] = true end
			unknown[#unknown + 1] = c.job
		end
	end
	give_back(unknown, process)
end

local left = num() == 1
if left then
	local lost, stopped = {tail = arg(), exc = arg()}, {tail = arg(), exc = arg()}
	rescue(process, lost, stopped, 1000000)
end

local queues, tokens, workers, begins = args(), args(), args(), num()
local wanted = args() -- fields of a job that the worker needs: status, data, ttl, attempt, enqueued_at, then others
local taken_jobs, joined, number = {}, {}, 0

-- claim takes a job that was popped from a queue. What is none, or does not
-- wait any more, is dropped with its place in the list.
local function claim(id, queue, started, held)
	local v = try('HMGET', JOB .. id, unpack(wanted))
	if not v or not v[2] or v[1] == 'canceled' then return end
	local status = v[1]
	if status == 'started' and (call('ZSCORE', STARTED .. queue, id) or call('EXISTS', EXECUTIONS .. id) == 1) then
		return -- it was pushed twice, and runs
	end
	local job = {id = id, queue = queue, ttl = lifetime(v[3]), attempt = int(v[4]) or 0, front = 0}
	if job.ttl and (tonumber(call('ZSCORE', TTL, queue .. '\0' .. id) or '') or now_us + 1) <= now_us then
		delete(job)
		return
	end
	local n = #taken_jobs + 1
	local begun = n <= begins
	if begun then
		job.attempt = job.attempt + 1
		set(job, 'status', 'started', 'started_at', now_text, 'last_heartbeat', now_text, 'worker_name', workers[n], 'origin', queue,
			F_CLAIM, tokens[n] .. ' ' .. process, F_NUMBER, number + n, F_ATTEMPT, job.attempt)
		wait_ends(job)
		started[#started + 1] = now + busy_ttl
		started[#started + 1] = id
		slot(workers[n]).current = id
		feed(id, queue, 'started', '', job.attempt, tokens[n])
	else
		set(job, 'status', 'queued', 'origin', queue, F_CLAIM, tokens[n] .. ' ' .. process, F_NUMBER, number + n, F_HELD, v[5] or '')
		held[#held + 1] = number + n
		held[#held + 1] = id
	end
	joined[#joined + 1] = tokens[n]
	joined[#joined + 1] = id
	taken_jobs[n] = {id, tokens[n], begun and 1 or 0, queue, job.attempt, v}
end

if not left and #tokens > 0 and call('EXISTS', SUSPENDED) == 0 then
	local parent = call('HKEYS', RELEASE)[1]
	if parent then release_aside(parent) end
	number = call('INCRBY', SEQ, #tokens) - #tokens
	local pops = 8 * #tokens + 64 -- ids of jobs that are gone cost time too
	for _, queue in ipairs(queues) do
		local started, held = {}, {}
		local fit = is(QUEUE .. queue, 'list') and is(STARTED .. queue, 'zset')
		while fit and #taken_jobs < #tokens and pops > 0 and call('SISMEMBER', PAUSED, queue) == 0 do
			local ids = call('LRANGE', QUEUE .. queue, 0, #tokens - #taken_jobs - 1)
			if #ids == 0 then break end
			call('LTRIM', QUEUE .. queue, #ids, -1)
			pops = pops - #ids
			for _, id in ipairs(ids) do claim(id, queue, started, held) end
		end
		if #started > 0 then call('ZADD', STARTED .. queue, unpack(started)) end
		if #held > 0 then call('ZADD', HELD .. queue, unpack(held)) end
	end
	if #joined > 0 then call('HSET', CLAIMS .. process, unpack(joined)) end
end

for worker, w in pairs(slots) do
	local key = WORKER .. worker
	if w.finished > 0 then call('HINCRBY', key, 'successful_job_count', w.finished) end
	if w.failed > 0 then call('HINCRBY', key, 'failed_job_count', w.failed) end
	if w.seconds > 0 then call('HINCRBYFLOAT', key, 'total_working_time', string.format('%.6f', w.seconds)) end
	if w.finished + w.failed > 0 then
		call('HINCRBY', PROCESS .. process, 'finished', w.finished + w.failed)
		call('HINCRBY', PROCESS .. process, 'failed', w.failed)
	end
	if w.current and not w.ended[w.current] then
		call('HSET', key, 'state', 'busy', 'current_job', w.current, 'current_job_working_time', 0, 'last_heartbeat', now_text)
		call('EXPIRE', key, busy_ttl)
	elseif w.ended[call('HGET', key, 'current_job') or ''] then
		call('HDEL', key, 'current_job')
		call('HSET', key, 'state', 'idle', 'current_job_working_time', 0, 'last_heartbeat', now_text)
		call('EXPIRE', key, worker_ttl)
	end
end
local gate = {}
if not left and #taken_jobs < #tokens then
	gate = try('SMEMBERS', PAUSED) or {}
	table.insert(gate, 1, call('EXISTS', SUSPENDED))
end
if left then leave(process) end

return {'ok', settled, begun, taken_jobs, left and {} or call('HGETALL', STOPS .. process), lost, gate}

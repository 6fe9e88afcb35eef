-- What the scripts share. Every script gets, before its own arguments, the
-- clock of the caller and three facts about it, and begins with a prelude that
-- declares the names of keys and fields (keys.go).

local call = redis.call
local next_arg = 0

local function arg()
	next_arg = next_arg + 1
	return ARGV[next_arg]
end

local function num() return tonumber(arg()) end

local function args()
	local list = {}
	for i = 1, num() do list[i] = arg() end
	return list
end

local now_us = num()       -- microseconds UTC
local now_text = arg()     -- the same as RQ writes times
local feed_keep = arg()    -- entries of the feed that are kept
local default_ttl = num()  -- result_ttl of jobs without one, seconds
local busy_ttl = num()     -- how long a running job is safe from RQ's clean-up, seconds
local wake = arg()         -- channel of hints

local now = math.floor(now_us / 1000000)
local now_up = math.ceil(now_us / 1000000)  -- what expires must not expire early
local feeding = call('EXISTS', READER) == 1

local FAILURE_TTL = 31536000 -- RQ's

local FAR = 315360000 -- 10 years: what is longer Redis may refuse in the middle of a change

-- int reads what others wrote: nil for what is no whole number.
local function int(text)
	return text and string.match(text, '^%-?%d+$') and tonumber(text) or nil
end

-- ttl reads a number of seconds.
local function lifetime(text)
	local n = int(text)
	return n and math.min(n, FAR)
end

-- try is call for keys that others may have given another type: what Redis
-- refuses answers nil, and the change goes on without it.
local function try(...)
	local answer = redis.pcall(...)
	if type(answer) == 'table' and answer.err then return nil end
	return answer
end

-- is reports whether a key is of a type, or not there.
local function is(key, kind)
	local found = call('TYPE', key).ok
	return found == kind or found == 'none'
end

-- go_on fails where Redis takes no writes now, before anything is changed. Where
-- only its memory is full it lets the script go on: Redis refuses no write
-- behind a first one that it took, and what ends jobs makes room.
local function go_on() call('DEL', NOTHING) end

-- A number of microseconds is exact as a double, but tostring would round it.
local function whole(n) return string.format('%.0f', n) end

local now_whole = whole(now_us)

-- unread_less takes a chunk of output off that waits, and reports 1 if it did.
local function unread_less(id, job, size)
	if call('XDEL', OUTPUT, id) == 0 then return 0 end
	call('HINCRBY', UNREAD, 'all', 0 - size)
	if call('HINCRBY', UNREAD, 'job:' .. job, 0 - size) <= 0 then call('HDEL', UNREAD, 'job:' .. job) end
	return 1
end

-- feed writes a change (changes.go) as one field of words and then, as they may
-- be anything, the queue behind its length and the job: it is written and read
-- for every change of every job, and each field more would cost what all do.
local function feed(id, queue, status, outcome, attempt, token)
	if feeding then
		call('XADD', FEED, 'MAXLEN', '~', feed_keep, '*', 'c', status .. ' ' .. (outcome or '') .. ' ' .. (attempt or 0) ..
			' ' .. (token or '') .. ' ' .. now_whole .. ' ' .. #queue .. ' ' .. queue .. ' ' .. id)
	end
end

-- load returns a job with the fields that every change needs, nil when there is
-- none. What is no number, and a key that is no hash, counts as absent: other
-- programs write here too. It is one plain table, and more is left to others,
-- because it is made for every job of every call.
local function load(id)
	local v = try('HMGET', JOB .. id, 'status', 'origin', 'created_at', 'worker_name', 'started_at', 'ttl', 'result_ttl',
		'repeats_left', 'dependency_id', F_CLAIM, F_ATTEMPT, F_FRONT, F_STOP, F_SETTLED, F_DUE)
	if not v or not v[2] and not v[3] then return nil end
	return {
		id = id, queue = v[2] or '', origin = v[2], status = v[1], worker_name = v[4] or '', started_at = v[5] or '',
		ttl = lifetime(v[6]), result_ttl = lifetime(v[7]), repeats_left = int(v[8]),
		depends = v[9], claim = v[10], attempt = int(v[11]) or 0, front = int(v[12]) or 0,
		stop = v[13], settled = v[14], due = v[15],
	}
end

-- rest adds what few changes need.
local function rest(job)
	local v = call('HMGET', JOB .. job.id, 'failure_ttl', 'retries_left', 'retry_intervals', 'repeat_intervals', 'number_of_retries',
		'enqueue_at_front', 'enqueue_at_front_on_retry', 'allow_dependency_failures', 'ended_at', F_NUMBER, F_SEQ, F_UNTIL)
	job.failure_ttl, job.retries_left = lifetime(v[1]), int(v[2]) or 0
	job.retry_intervals, job.repeat_intervals = v[3], v[4]
	job.number_of_retries = int(v[5]) or 0
	job.enqueue_at_front, job.front_on_retry, job.tolerant = v[6] == '1', v[7] == '1', v[8] == '1'
	job.ended_at = v[9] or ''
	job.number, job.seq, job.until_us = int(v[10]) or 0, int(v[11]) or 0, int(v[12])
	return job
end

local function set(job, ...) call('HSET', JOB .. job.id, ...) end

local function waits_until(job, at_us)
	call('ZADD', TTL, whole(at_us), job.queue .. '\0' .. job.id)
end

local function waits_no_more(job)
	if job.ttl then call('ZREM', TTL, job.queue .. '\0' .. job.id) end
end

-- expire sets the time that is left to all keys of a job, as RQ does.
local function expire(job, seconds)
	call('EXPIRE', JOB .. job.id, seconds)
	if not job.alone then call('EXPIRE', JOB .. job.id .. DEPENDENTS, seconds) end
	if job.depends then call('EXPIRE', PARENTS .. job.id .. NEEDS, seconds) end
end

-- delete removes a job that no registry names any more.
local function delete(job)
	local group = try('HGET', JOB .. job.id, 'group_id')
	call('UNLINK', JOB .. job.id, JOB .. job.id .. DEPENDENTS, PARENTS .. job.id .. NEEDS, RESULTS .. job.id)
	waits_no_more(job)
	if group and group ~= '' then try('SREM', GROUP .. group, job.id) end
	feed(job.id, job.queue, '', '', job.attempt)
end

-- unclaim removes what a claim, a place at the front and a due time left, but
-- for the claim itself: that is emptied with the change of status.
local function unclaim(job)
	if job.front > 0 or job.stop or job.due then call('HDEL', JOB .. job.id, F_FRONT, F_STOP, F_DUE) end
end

-- enqueue puts a job into the list of its queue as one that joins it now.
-- outcome and token belong to the attempt that led to it, if one did.
local function enqueue(job, front, outcome, token)
	unclaim(job)
	set(job, 'status', 'queued', 'enqueued_at', now_text, F_CLAIM, '')
	call('SADD', QUEUES, QUEUE .. job.queue)
	if job.ttl and job.ttl > 0 then
		expire(job, job.ttl)
		waits_until(job, now_us + job.ttl * 1000000)
	end
	if front then
		set(job, F_FRONT, call('INCR', SEQ))
		call('LPUSH', QUEUE .. job.queue, job.id)
	else
		call('RPUSH', QUEUE .. job.queue, job.id)
	end
	feed(job.id, job.queue, 'queued', outcome, job.attempt, token)
end

local earliest_due -- second that schedule chose, the least

-- schedule lets a job wait for delay seconds. RQ's registry knows whole
-- seconds: rounded up, so that no job starts early.
local function schedule(job, delay, outcome, token)
	local due = now_us + delay * 1000000
	unclaim(job)
	set(job, 'status', 'scheduled', F_DUE, whole(due), F_CLAIM, '')
	call('SADD', QUEUES, QUEUE .. job.queue)
	local second = math.ceil(due / 1000000)
	earliest_due = math.min(earliest_due or second, second)
	call('ZADD', SCHEDULED .. job.queue, second, job.id)
	feed(job.id, job.queue, 'scheduled', outcome, job.attempt, token)
	call('PUBLISH', wake, 'due ' .. whole(due))
end

-- again runs a job once more after delay seconds.
local function again(job, delay, front, outcome, token)
	if delay > 0 then
		schedule(job, delay, outcome, token)
	else
		enqueue(job, front, outcome, token)
	end
end

-- interval is element i, from 0 and the last one repeating, of a JSON list of
-- seconds; 0 where there is none.
local function interval(text, index)
	local ok, list = pcall(cjson.decode, text or '[]')
	if not ok or type(list) ~= 'table' or #list == 0 then return 0 end
	return math.min(math.max(math.floor(tonumber(list[math.min(index, #list - 1) + 1]) or 0), 0), FAR)
end

-- retry_delay is the pause before the next attempt, counted by the retries
-- that are left, as RQ counts.
local function retry_delay(job)
	local ok, list = pcall(cjson.decode, job.retry_intervals or '[]')
	if not ok or type(list) ~= 'table' then return 0 end
	return interval(job.retry_intervals, math.max(#list - job.retries_left, 0))
end

-- release_some enqueues those of the dependents of a parent that wait for
-- nothing else. A stopped parent releases nobody, as in RQ 2.8 and later.
local function release_some(parent, status, ids)
	local released = {}
	for _, id in ipairs(ids) do
		local job = load(id)
		local tolerant = job and rest(job).tolerant
		local ready = job and job.status == 'deferred' and (status == 'finished' or status == 'failed' and tolerant)
		if ready then
			for _, other in ipairs(try('SMEMBERS', PARENTS .. id .. NEEDS) or {}) do
				if other ~= parent and call('EXISTS', JOB .. other) == 1 then
					local stands = try('HGET', JOB .. other, 'status')
					ready = ready and (stands == 'finished' or stands == 'failed' and tolerant)
				end
			end
		end
		if ready then
			call('ZREM', DEFERRED .. job.queue, id)
			enqueue(job, job.enqueue_at_front)
			released[#released + 1] = id
		end
	end
	if #released > 0 then call('SREM', JOB .. parent .. DEPENDENTS, unpack(released)) end
	return #released
end

local RELEASE_STEP = 32 -- dependents that one call enqueues: others wait meanwhile

-- release does so at the end of a job. Where there are many, they are put aside
-- with the status that releases them, as the job may be gone, or run again, when
-- the last of them is looked at.
local function release(job, status)
	if status ~= 'finished' and status ~= 'failed' then return end
	local key = JOB .. job.id .. DEPENDENTS
	local count = try('SCARD', key) or 0
	job.alone = count == 0
	if count > RELEASE_STEP then
		local aside = RELEASING .. job.id
		call('SUNIONSTORE', aside, aside, key)
		call('UNLINK', key)
		if call('HGET', RELEASE, job.id) ~= 'finished' then call('HSET', RELEASE, job.id, status) end
		job.alone = true
	elseif count > 0 then
		release_some(job.id, status, call('SMEMBERS', key))
	end
end

-- release_aside goes on with the dependents of a job that were put aside, and
-- returns how many are left of them. Those that are not released wait on.
local function release_aside(parent)
	local status, aside = call('HGET', RELEASE, parent), RELEASING .. parent
	local ids = call('SPOP', aside, RELEASE_STEP)
	if status and #ids > 0 and release_some(parent, status, ids) < #ids and call('EXISTS', JOB .. parent) == 1 then
		for _, id in ipairs(ids) do
			if try('HGET', JOB .. id, 'status') == 'deferred' then call('SADD', JOB .. parent .. DEPENDENTS, id) end
		end
	end
	local left = call('SCARD', aside)
	if left == 0 then call('HDEL', RELEASE, parent) end
	return left
end

-- beat_of is what changes while a process is alive.
local function beat_of(process)
	local v = call('HMGET', PROCESS .. process, 'beat', 'alive')
	return (v[1] or '') .. ' ' .. (v[2] or '')
end

-- belongs reports whether an RQ worker is one of those of a process.
local function belongs(worker, process)
	return worker == process or worker and string.sub(worker, 1, #process + 1) == process .. '.'
end

-- holds is 'begun' or 'held' when a process has a job by this token. A job
-- that a stock worker took over meanwhile still has the old token, and so has
-- one that a stock client queued anew: that stands in the list once more.
local function holds(job, token, process)
	if not job or job.claim ~= token .. ' ' .. process then return nil end
	if job.status == 'started' then
		return belongs(job.worker_name, process) and 'begun' or nil
	end
	if job.status ~= 'queued' or not call('ZSCORE', HELD .. job.queue, job.id) then return nil end
	local v = call('HMGET', JOB .. job.id, 'enqueued_at', F_HELD)
	return (v[1] or '') == (v[2] or '') and 'held' or nil
end

-- forget takes a claim off its process; of no job when only the token is known.
local function forget(process, token, job)
	call('HDEL', CLAIMS .. process, token)
	if not job or job.stop then call('HDEL', STOPS .. process, token) end
end

-- wait_ends stops the time a job may wait, and notes it for the case that the
-- job comes back.
local function wait_ends(job)
	if job.ttl then
		local until_us = call('ZSCORE', TTL, job.queue .. '\0' .. job.id)
		local left = call('PTTL', JOB .. job.id)
		until_us = tonumber(until_us) or left > 0 and now_us + left * 1000
		if until_us then set(job, F_UNTIL, whole(until_us)) end
		waits_no_more(job)
	end
	call('PERSIST', JOB .. job.id)
end

-- by_place orders claimed jobs as they stood in their queue: those that were
-- put to its front last came first, then those that came first.
local function by_place(a, b)
	if a.front ~= b.front then return a.front > b.front end
	return a.number < b.number
end

-- give_back returns claimed jobs to the front of their queues as if they had
-- not been claimed.
local function give_back(jobs, process)
	for _, job in ipairs(jobs) do rest(job) end
	table.sort(jobs, by_place)
	for i = #jobs, 1, -1 do
		local job = jobs[i]
		local token = string.sub(job.claim, 1, -#process - 2)
		local begun = job.status == 'started'
		forget(process, token, job)
		if job.stop then call('HDEL', JOB .. job.id, F_STOP) end
		set(job, 'status', 'queued', F_CLAIM, '', F_FRONT, call('INCR', SEQ))
		if begun then
			local ok, last = pcall(cjson.decode, call('HGET', JOB .. job.id, F_RESULT) or '')
			last = ok and type(last) == 'table' and last or {}
			call('ZREM', STARTED .. job.queue, job.id)
			job.attempt = job.attempt - 1
			set(job, 'started_at', last.s or '', 'worker_name', last.w or '', F_ATTEMPT, job.attempt)
			if job.until_us then
				waits_until(job, job.until_us)
				expire(job, math.max(1, math.ceil((job.until_us - now_us) / 1000000)))
			end
			feed(job.id, job.queue, 'queued', '', job.attempt, token)
		else
			call('ZREM', HELD .. job.queue, job.id)
		end
		call('LPUSH', QUEUE .. job.queue, job.id)
	end
end

-- keep ends a job that runs no more and keeps its record for ttl seconds: 0
-- not at all, less than 0 for ever.
local function keep(job, registry, ttl, forever)
	if ttl == 0 then
		delete(job)
		return
	end
	if ttl < 0 then
		try('ZADD', registry, forever, job.id)
		return
	end
	try('ZADD', registry, whole(now_up + ttl), job.id)
	expire(job, ttl)
end

-- add_result adds what RQ's readers find. The token tells history that the
-- attempt was not one of a stock worker.
local function add_result(job, kind, field, value, ttl, token)
	local key = RESULTS .. job.id
	local entry = {'type', kind, 'worker_name', job.worker_name}
	if value ~= '' then entry[5], entry[6] = field, value end
	if token ~= '' then entry[#entry + 1], entry[#entry + 2] = E_TOKEN, token end
	if not try('XADD', key, 'MAXLEN', '~', 10, '*', unpack(entry)) then -- it is no stream
		call('UNLINK', key)
		call('XADD', key, 'MAXLEN', '~', 10, '*', unpack(entry))
	end
	if ttl and ttl > 0 then
		call('EXPIRE', key, ttl)
	elseif ttl then
		call('PERSIST', key)
	end
end

-- ended writes the status of a job whose last attempt is over, with what
-- end_attempt has gathered.
local function ended(job, status, s)
	unclaim(job)
	set(job, 'status', status, F_CLAIM, '', unpack(s.fields))
	feed(job.id, job.queue, status, s.outcome, job.attempt, s.token)
end

local function finish(job, s)
	local ttl = job.result_ttl or default_ttl
	if job.repeats_left and job.repeats_left > 0 then
		local left = job.repeats_left - 1
		set(job, 'repeats_left', left, unpack(s.fields))
		add_result(job, 1, 'return_value', s.value, ttl == 0 and -1 or ttl, s.token)
		call('ZADD', FINISHED .. job.queue, ttl < 0 and '+inf' or whole(now_up + ttl), job.id)
		release(job, 'finished')
		again(job, interval(rest(job).repeat_intervals, left), false, s.outcome, s.token)
		return
	end
	ended(job, 'finished', s)
	if ttl ~= 0 then add_result(job, 1, 'return_value', s.value, ttl, s.token) end
	release(job, 'finished')
	keep(job, FINISHED .. job.queue, ttl, '+inf')
end

local function fail(job, s)
	local status = s.outcome == 'stopped' and 'stopped' or 'failed'
	ended(job, status, s)
	if job.failure_ttl ~= 0 then add_result(job, 2, 'exc_string', s.exc, job.failure_ttl, s.token) end
	release(job, status)
	keep(job, FAILED .. job.queue, job.failure_ttl or FAILURE_TTL, -1)
end

-- end_attempt records how a begun job ended. s has token, outcome, started and
-- ended (RQ's times, or empty), tail (the JSON of the result but for what is
-- known here), value and exc (as RQ stores them, or empty), and again (seconds,
-- or nil) with front.
local function end_attempt(job, process, s)
	forget(process, s.token, job)
	call('ZREM', STARTED .. job.queue, job.id)
	-- What a worker of Distro's left before is put aside; that of a stock worker
	-- that died, which has no token, is not, and did not count its attempt.
	local own = (job.attempt > 1 or s.token == '') and job.settled and string.sub(job.settled, 1, 1) ~= ' '
	local last = own and call('HGET', JOB .. job.id, F_RESULT)
	local number = last and string.match(last, '^{"a":(%d+),')
	if number then set(job, F_EARLIER .. number % MAX_EARLIER, job.settled .. ' ' .. last) end
	s.fields = {'ended_at', now_text, 'last_heartbeat', now_text, F_SETTLED, s.token .. ' ' .. s.outcome,
		F_RESULT, '{"a":' .. job.attempt .. ',"w":' .. cjson.encode(job.worker_name) ..
		',"s":"' .. (s.started ~= '' and s.started or job.started_at) .. '","e":"' .. (s.ended ~= '' and s.ended or now_text) ..
		'","at":"' .. now_text .. '",' .. s.tail}
	if not s.again and s.outcome == 'finished' then
		finish(job, s)
		return
	end
	rest(job)
	if s.again then
		set(job, 'number_of_retries', job.number_of_retries + 1, unpack(s.fields))
		again(job, s.again, s.front, s.outcome, s.token)
	elseif s.outcome ~= 'stopped' and job.retries_left > 0 then
		set(job, 'retries_left', job.retries_left - 1, unpack(s.fields))
		again(job, retry_delay(job), job.front_on_retry, s.outcome, s.token)
	else
		fail(job, s)
	end
end

-- claims are the jobs that a process has, and their tokens, in the order of
-- the jobs' creation.
local function claims(process)
	local list, pairs_of = {}, call('HGETALL', CLAIMS .. process)
	for i = 1, #pairs_of, 2 do
		local job = load(pairs_of[i + 1])
		local how = holds(job, pairs_of[i], process)
		if how then
			list[#list + 1] = {token = pairs_of[i], job = rest(job), begun = how == 'begun'}
		else
			forget(process, pairs_of[i])
		end
	end
	table.sort(list, function(a, b)
		if a.job.seq ~= b.job.seq then return a.job.seq < b.job.seq end
		return a.job.id < b.job.id
	end)
	return list
end

-- rescue ends the claims of a process that is gone, at most limit of them, and
-- returns how many it ended. lost and stopped are the ends of an attempt, each
-- with tail and exc; what somebody wanted stopped has stopped.
local function rescue(process, lost, stopped, limit)
	local back, count = {}, 0
	for _, c in ipairs(claims(process)) do
		if count == limit then break end
		count = count + 1
		if c.begun then
			local how, outcome = lost, 'lost'
			if c.job.stop then how, outcome = stopped, 'stopped' end
			end_attempt(c.job, process, {token = c.token, outcome = outcome, started = '', ended = '', tail = how.tail, value = '', exc = how.exc})
		else
			back[#back + 1] = c.job
		end
	end
	give_back(back, process)
	return count
end

-- leave takes a process and its RQ workers off the lists.
local function leave(process)
	for _, worker in ipairs(call('SMEMBERS', SLOTS .. process)) do
		local key = WORKER .. worker
		call('SREM', WORKERS, key)
		for queue in string.gmatch(call('HGET', key, 'queues') or '', '[^,]+') do
			call('SREM', WORKERS .. ':' .. queue, key)
		end
		if call('EXISTS', key) == 1 then
			call('HDEL', key, 'current_job')
			call('HSET', key, 'death', now_text)
			call('EXPIRE', key, 60)
		end
	end
	call('SREM', PROCESSES, process)
	call('DEL', PROCESS .. process, SLOTS .. process, CLAIMS .. process, STOPS .. process)
end

-- Repairs what dead stock processes left in a queue, as a stock worker does
-- every ten minutes, and what they do not repair. Arguments: queue, life of the
-- maintenance lock in seconds, how long an id may be stuck in seconds, limit,
-- exc of an abandoned run, tail of its result. Answers {abandoned, unstuck}.

local queue, life, stuck_for, limit = arg(), num(), num(), num()
local exc, tail = arg(), arg()
go_on()
if not call('SET', CLEANING .. queue, '1', 'NX', 'EX', life) then return {0, 0} end

-- A run that nobody has kept up. RQ 2 names it job:execution, and 1.x drops
-- such a name without looking at the job. What Distro's own workers run is
-- rescued by their beats instead.
local abandoned = 0
for _, member in ipairs(try('ZRANGEBYSCORE', STARTED .. queue, 0, now, 'LIMIT', 0, limit) or {}) do
	local id = string.match(member, '^(.+):%x+$') or member
	if call('EXISTS', JOB .. member) == 1 then id = member end
	local job = load(id)
	local token, process = string.match(job and job.claim or '', '^(%S+) (.+)$')
	if job and job.status == 'started' and token and belongs(job.worker_name, process) and call('EXISTS', PROCESS .. process) == 1 then
		call('ZADD', STARTED .. queue, 'XX', now + busy_ttl, member)
	else
		call('ZREM', STARTED .. queue, member)
		call('DEL', EXECUTIONS .. id)
		if job and job.status == 'started' then
			job.queue = queue
			end_attempt(job, process or '', {token = token or '', outcome = 'lost', started = '', ended = '', tail = tail, value = '', exc = exc})
			abandoned = abandoned + 1
		end
	end
end

-- Ids that a stock worker popped and did not begin before it died.
local unstuck = 0
local moving = QUEUE .. queue .. MOVING
for _, id in ipairs(try('LRANGE', moving, 0, limit - 1) or {}) do
	local job = load(id)
	local seen = moving .. FIRSTSEEN .. id
	if not job or job.status ~= 'queued' then
		if not job or call('ZSCORE', STARTED .. queue, id) or job.status ~= 'started' then call('LREM', moving, 1, id) end
	elseif not call('SET', seen, now, 'NX', 'EX', 86400) and now - (tonumber(call('GET', seen)) or now) > stuck_for then
		call('LREM', moving, 1, id)
		call('DEL', seen)
		call('LPUSH', QUEUE .. queue, id)
		unstuck = unstuck + 1
	end
end
-- Claims that nobody has: stock clients deleted or queued the job meanwhile.
for _, id in ipairs(call('ZRANGE', HELD .. queue, 0, limit - 1)) do
	local job = load(id)
	local token, process = string.match(job and job.claim or '', '^(%S+) (.+)$')
	if not token then
		call('ZREM', HELD .. queue, id)
	elseif call('HGET', CLAIMS .. process, token) ~= id then
		local held = holds(job, token, process)
		call('ZREM', HELD .. queue, id)
		set(job, F_CLAIM, '')
		if held then call('LPUSH', QUEUE .. queue, id) end
	end
end
call('DEL', CLEANING .. queue)
return {abandoned, unstuck}

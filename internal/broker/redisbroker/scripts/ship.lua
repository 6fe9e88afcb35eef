-- Takes chunks of output until somebody stores them. Arguments: how long they
-- may wait in seconds, how much may wait of one job and in all, and the chunks:
-- job, run, attempt, whether it is the last, text. Answers per chunk 0 taken,
-- 1 full, 2 nobody reads.

local TAKEN, FULL, UNWANTED = 0, 1, 2
local life, per_job, in_all, count = num(), num(), num(), num()
local wanted = call('EXISTS', LISTENER) == 1
if call('XLEN', OUTPUT) == 0 then call('DEL', UNREAD) end

local answers, full, last = {}, {}, nil
for i = 1, count do
	local job, run, attempt, ends, text = arg(), arg(), arg(), arg(), arg()
	local field, size = 'job:' .. job, #text + #job + #run + 64
	local waits = call('HMGET', UNREAD, 'all', field)
	local all, own = int(waits[1]) or 0, int(waits[2]) or 0
	if not wanted then
		answers[i] = UNWANTED
	elseif full[run] or all + size > in_all or own + size > per_job then
		full[run] = true
		call('HSETNX', UNREAD, field, 0) -- there is more to come
		answers[i] = FULL
	else
		last = call('XADD', OUTPUT, '*', 'j', job, 'r', run, 'a', attempt, 'e', ends, 's', size, 't', text)
		call('HSET', UNREAD, 'all', all + size, field, own + size)
		answers[i] = TAKEN
	end
end

if last then
	-- What others left unread goes, a few chunks at a time, by the clock of Redis.
	local before = tonumber(string.match(last, '^%d+')) - life * 1000
	for _, entry in ipairs(call('XRANGE', OUTPUT, '-', whole(before), 'COUNT', 4)) do
		local job, size
		for i = 1, #entry[2], 2 do
			if entry[2][i] == 'j' then job = entry[2][i + 1] end
			if entry[2][i] == 's' then size = int(entry[2][i + 1]) end
		end
		unread_less(entry[1], job or '', size or 0)
	end
	call('EXPIRE', OUTPUT, life)
	call('EXPIRE', UNREAD, life)
end
return answers

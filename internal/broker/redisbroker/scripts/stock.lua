-- Reads what RQ wrote of jobs and their attempts, each job as it is at one
-- moment; changes nothing. Arguments: bytes of a value that are read at most,
-- bytes of entries that are read at most, prefixes of the keys of jobs, results
-- and executions; IDs of jobs.
-- Answers per job its fields, its executions that run, and the newest entries
-- of its results, the newest first, each as its ID and its fields.

local cut, room = tonumber(ARGV[1]), tonumber(ARGV[2])
local jobs, results, executions = ARGV[3], ARGV[4], ARGV[5]
local PAGE, MOST, SHOWN = 8, 128, 4096

local function try(...)
	local answer = redis.pcall(...)
	return answer and not answer.err and answer or {}
end

-- shorten leaves the beginning of values that are too long: what is to be read
-- as a whole is left out, so that nobody takes it for whole.
local function shorten(pairs_of)
	local size = 0
	for i = 2, #pairs_of, 2 do
		if #pairs_of[i] > cut then
			pairs_of[i] = pairs_of[i - 1] == 'return_value' and '' or string.sub(pairs_of[i], 1, SHOWN)
			pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = 'distro_cut_' .. pairs_of[i - 1], '1'
		end
		size = size + #pairs_of[i]
	end
	return size
end

local function before(id)
	local ms, seq = string.match(id, '^(%d+)-(%d+)$')
	if seq ~= '0' then return ms .. '-' .. string.format('%.0f', tonumber(seq) - 1) end
	return string.format('%.0f', tonumber(ms) - 1) .. '-18446744073709551615'
end

local function entries(key)
	local list, last, size = {}, '+', 0
	while #list < MOST and size < room do
		local page = try('XREVRANGE', key, last, '-', 'COUNT', last == '+' and 1 or PAGE)
		for _, entry in ipairs(page) do
			size = size + shorten(entry[2])
			list[#list + 1] = entry
			last = before(entry[1])
		end
		if #page == 0 then return list end
	end
	return list
end

local answer = {}
for i = 6, #ARGV do
	local fields = try('HGETALL', jobs .. ARGV[i])
	shorten(fields)
	answer[#answer + 1] = {fields, try('ZRANGE', executions .. ARGV[i], 0, -1), entries(results .. ARGV[i])}
end
return answer

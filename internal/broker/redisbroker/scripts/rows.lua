-- Reads what lists show of jobs; changes nothing. Arguments: bytes of a value
-- that are read at most, prefix of the keys, number of fields, fields, ids.
-- Answers per id the values of the fields, or nothing where there is no job.

local cut, prefix, count = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local fields, rows = {'data'}, {}
for i = 1, count do fields[i + 1] = ARGV[3 + i] end
for i = count + 4, #ARGV do
	local values = redis.pcall('HMGET', prefix .. ARGV[i], unpack(fields))
	if values.err or not values[1] then
		values = {}
	else
		for n, value in ipairs(values) do
			if value and #value > cut then values[n] = string.sub(value, 1, cut) end
		end
	end
	rows[#rows + 1] = values
end
return rows

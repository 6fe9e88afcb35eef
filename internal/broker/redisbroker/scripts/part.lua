-- Reads a part of a list from its right end, or of a sorted set from its
-- highest score, behind a place that may have moved; changes nothing. Key: the
-- list or set. Arguments: prefix of the keys of jobs, kind, count, and the
-- place, none at the beginning.
-- Answers how many elements lie before the part, how many there are in all, and
-- the elements of the part, those of a set with their scores.

local key, call = KEYS[1], redis.call
local prefix, kind, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local WINDOW = 500

-- The place in a list: how many elements lay before it and in all, when its
-- last job was enqueued and its number, and the last ids before it, the nearest
-- one first.
local function place_in_list(length)
	local seen, total, joined, seq = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
	local nearness = {}
	for i = 8, #ARGV do nearness[ARGV[i]] = i end

	local function find(around)
		local from = math.max(around - WINDOW, 0)
		local ids = call('LRANGE', key, -(from + 2 * WINDOW), -(from + 1))
		local best, place
		for i, id in ipairs(ids) do
			local near = nearness[id]
			if near and (not best or near < best) then best, place = near, from + #ids - i + 1 end
		end
		return place
	end

	-- Whether an element joined the list after the place. Jobs of other producers
	-- have no number: of those that joined at one moment none counts as later, as
	-- to list some twice is better than to leave them out.
	local function is_later(at)
		local fields = call('HMGET', prefix .. call('LINDEX', key, -(at + 1)), 'enqueued_at', 'distro_seq')
		local then_joined, number = fields[1] or '', tonumber(fields[2]) or 0
		return then_joined > joined or then_joined == joined and number > 0 and number >= seq
	end

	-- Jobs join at the right end, so what is new shifts the place by as much
	-- as the list has grown, unless others left it meanwhile.
	local guess = math.min(seen + math.max(length - total, 0), length)
	if guess > 0 and call('LINDEX', key, -guess) == ARGV[8] then return guess end
	local place = find(guess)
	if place or joined == '' then return place or guess end
	-- The jobs stand in the order in which they were enqueued, but for a few
	-- at the front. The place is sought in ever larger steps from the guess,
	-- as the way to the middle of a long list is long.
	local low, high, step = guess, guess, 2 * WINDOW
	while low > 0 and not is_later(low - 1) do
		high, low, step = low, math.max(low - step, 0), 2 * step
	end
	if high == guess then
		while high < length and is_later(high) do
			low, high, step = high + 1, math.min(high + step, length), 2 * step
		end
	end
	while low < high do
		local middle = math.floor((low + high) / 2)
		if is_later(middle) then low = middle + 1 else high = middle end
	end
	return find(low) or low
end

-- Sets are ordered by bytes; Lua compares texts as the locale does.
local function not_less(a, b)
	for i = 1, math.min(#a, #b) do
		local x, y = string.byte(a, i), string.byte(b, i)
		if x ~= y then return x > y end
	end
	return #a >= #b
end

-- The place in a set: score and member of the last element before it.
local function place_in_set(length)
	local score, member = tonumber(ARGV[4]), ARGV[5]
	local is = call('ZSCORE', key, member)
	if is and tonumber(is) == score then return call('ZREVRANK', key, member) + 1 end
	local low, high = 0, length
	while low < high do
		local middle = math.floor((low + high) / 2)
		local other = call('ZREVRANGE', key, middle, middle, 'WITHSCORES')
		local s = tonumber(other[2])
		if s > score or s == score and not_less(other[1], member) then low = middle + 1 else high = middle end
	end
	return low
end

local length, place, part = 0, 0, {}
if kind == 'list' then
	length = call('LLEN', key)
	if ARGV[4] then place = place_in_list(length) end
	local ids = call('LRANGE', key, -(place + count), -(place + 1))
	if place >= length then ids = {} end
	for i = #ids, 1, -1 do part[#part + 1] = ids[i] end
else
	length = call('ZCARD', key)
	if ARGV[4] then place = place_in_set(length) end
	part = call('ZREVRANGE', key, place, place + count - 1, 'WITHSCORES')
end
return {place, length, part}

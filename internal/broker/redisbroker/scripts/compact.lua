-- One step of compacting a list of a queue: see broker.Compact. Arguments: key,
-- whether it is a list and no registry, how many entries at its end were looked
-- at, limit, how far from the nearer end of a list entries may be taken out.
-- Answers {dropped, how many were looked at by now}, the second -1 at the end of
-- the walk.

local key, is_list, seen, limit, reach = arg(), arg() == '1', num(), num(), num()
local length, ids = 0, {}

if is_list and is(key, 'list') then
	length = call('LLEN', key)
	if seen > reach and length - seen > reach then seen = length - reach end
elseif not is_list and is(key, 'zset') then
	length = call('ZCARD', key)
end
if seen >= length then return {0, -1} end

local from, to = math.max(length - seen - limit, 0), length - seen - 1
if is_list then ids = call('LRANGE', key, from, to) else ids = call('ZRANGE', key, from, to) end
local gone = {}
for i, id in ipairs(ids) do
	if not load(id) then gone[#gone + 1] = i end
end
if #gone > 0 then go_on() end
if is_list and #gone > 0 then
	-- An entry cannot be taken out by its place. It is given a value that no ID
	-- has, and these are sought from the nearer end.
	local nothing = '\0gone\0' .. now_whole
	for _, i in ipairs(gone) do call('LSET', key, from + i - 1, nothing) end
	local count = #gone
	if length - from < from then count = 0 - count end
	call('LREM', key, count, nothing)
end
if not is_list then
	for _, i in ipairs(gone) do call('ZREM', key, ids[i]) end
end
seen = seen + #ids - #gone
if from == 0 then seen = -1 end
return {#gone, seen}

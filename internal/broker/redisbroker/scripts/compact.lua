-- One step of compacting a queue: see broker.Compact. Arguments: queue, how many
-- entries at the end of the list were looked at, limit, how far from the nearer
-- end entries may be taken out. Answers {dropped, how many were looked at by now},
-- the second -1 at the end of the walk.

local queue, seen, limit, reach = arg(), num(), num(), num()
local key, length = QUEUE .. queue, 0
if is(key, 'list') then length = call('LLEN', key) end
if seen > reach and length - seen > reach then seen = length - reach end
if seen >= length then return {0, -1} end

local from = math.max(length - seen - limit, 0)
local ids = call('LRANGE', key, from, length - seen - 1)
local gone = {}
for i, id in ipairs(ids) do
	if not load(id) then gone[#gone + 1] = from + i - 1 end
end
if #gone > 0 then
	-- An entry cannot be taken out by its place. It is given a value that no ID
	-- has, and these are sought from the nearer end.
	go_on()
	local nothing = '\0gone\0' .. now_whole
	for _, at in ipairs(gone) do call('LSET', key, at, nothing) end
	local count = #gone
	if length - from < from then count = 0 - count end
	call('LREM', key, count, nothing)
end
seen = seen + #ids - #gone
if from == 0 then seen = -1 end
return {#gone, seen}

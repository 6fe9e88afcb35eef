-- Says that somebody reads output, and lets one of those who do move it.
-- Arguments: who asks, how long the word stands in seconds, how long the turn
-- lasts in milliseconds; 0 gives it back. Answers whether it is the asker's.

local who, life, turn = arg(), num(), num()
local holder = call('GET', MOVER)
if turn == 0 then
	if holder == who then call('DEL', MOVER) end
	return 0
end
call('SET', LISTENER, who, 'EX', life)
if holder and holder ~= who then return 0 end
call('SET', MOVER, who, 'PX', turn)
return 1

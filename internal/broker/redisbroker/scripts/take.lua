-- Forgets chunks of output that are stored, or that nobody can store.
-- Arguments per chunk: its id, job, size. Answers how many there were.

local forgotten = 0
for _ = 1, num() do
	local id, job, size = arg(), arg(), num()
	forgotten = forgotten + unread_less(id, job, size)
end
return forgotten

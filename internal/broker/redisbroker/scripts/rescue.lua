-- Ends the claims of a process that is lost, unless it has beaten since.
-- Arguments: process, the beat that stood still, limit, tail and exc of the
-- results of attempts that are lost, and of those that were to be stopped.
-- Answers how many claims were ended, 1 when none is left, and the earliest
-- second that one of the jobs is due again (0: none).

local process, beat, limit = arg(), arg(), num()
local lost, stopped = {tail = arg(), exc = arg()}, {tail = arg(), exc = arg()}
if beat_of(process) ~= beat then return {0, 1, 0} end
local count = rescue(process, lost, stopped, limit)
if call('HLEN', CLAIMS .. process) > 0 then return {count, 0, earliest_due or 0} end
leave(process)
return {count, 1, earliest_due or 0}

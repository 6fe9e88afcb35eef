-- Releases some dependents of a job that has ended. Arguments: job, dependents.

local parent, ids = arg(), args()
local job = load(parent)
if job then release_some(parent, job.status, ids) end
return 1

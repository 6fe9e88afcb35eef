-- Says that a process is alive whose call takes long. Arguments: process,
-- instance.

local process, instance = arg(), arg()
if call('HGET', PROCESS .. process, 'instance') == instance then call('HINCRBY', PROCESS .. process, 'alive', 1) end
return 1

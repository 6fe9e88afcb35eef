-- Goes on with the dependents of a job that were put aside at its end. Argument:
-- job. Answers how many are left.

return release_aside(arg())

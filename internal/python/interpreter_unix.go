//go:build !windows

package python

// environmentPython is the interpreter of a virtual environment's folder.
const environmentPython = "bin/python"

func interpreterNames() []string { return []string{"python3"} }

// isLauncher reports whether path only starts another process that is the
// interpreter.
func isLauncher(string) bool { return false }

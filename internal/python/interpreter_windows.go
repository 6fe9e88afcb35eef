package python

import (
	"path/filepath"
	"strings"
)

// environmentPython is the interpreter of a virtual environment's folder.
const environmentPython = `Scripts\python.exe`

func interpreterNames() []string { return []string{"python", "py"} }

// isLauncher reports whether path only starts another process that is the
// interpreter: killing the launcher would leave that one running.
func isLauncher(path string) bool {
	return strings.EqualFold(filepath.Base(path), "py.exe")
}

package python

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/distro-orchestrator/distro"
)

// serializerProgram resolves a dotted path as the child of a job does. Its
// arguments are the path, the folder of the modules, and those behind all
// others to import from.
const serializerProgram = `
import importlib, sys
dotted, modules = sys.argv[1:3]
sys.path[:1] = [modules]
sys.path += sys.argv[3:]
module, _, name = dotted.rpartition(".")
found = getattr(importlib.import_module(module), name)
for method in ("loads", "dumps"):
    getattr(found, method)
`

// CheckSerializer imports the serializer of a dotted path in a process of its
// own, with the start-up of the user's interpreter. An error says what is wrong
// with it, of distro.CodeInvalid.
func CheckSerializer(ctx context.Context, i Interpreter, dotted, modules string, path []string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	stderr := headBuffer{limit: 64 << 10}
	cmd := exec.CommandContext(ctx, i.Path, append([]string{"-c", serializerProgram, dotted, modules}, path...)...)
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		said := lastLine(stderr.String())
		return &distro.Error{Code: distro.CodeInvalid, Field: "--serializer", Err: err, Message: fmt.Sprintf(
			"%s cannot be used by %s (%s): name one that it can import, with loads and dumps, or json or pickle", dotted, i.Path, said)}
	}
	return nil
}

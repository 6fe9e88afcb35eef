package main

import (
	"path/filepath"
	"strings"
)

// isRQ reports whether the program was called through a link named rq.
func isRQ(program string) bool {
	name := filepath.Base(program)
	return strings.TrimSuffix(name, ".exe") == "rq"
}

// fromRQ turns the arguments of rq into those of distro, or says which command
// takes their place.
func fromRQ(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usage("this rq is distro: `rq worker` runs jobs; `distro --help` lists the rest")
	}
	switch args[0] {
	case "worker":
		return args, nil
	case "--version":
		return []string{"version"}, nil
	}
	instead := map[string]string{
		"info":        "`distro info`, `distro queues` and `distro workers` show them",
		"empty":       "`distro empty QUEUE` does it",
		"requeue":     "`distro requeue ID` does it",
		"suspend":     "`distro suspend` does it",
		"resume":      "`distro resume` does it",
		"enqueue":     "`distro enqueue MODULE.FUNCTION` does it",
		"worker-pool": "`distro worker --concurrency N` is a pool of N",
	}[args[0]]
	if instead == "" {
		instead = "`distro --help` lists what there is"
	}
	return nil, usage("this rq is distro, which has no `rq %s`: %s", args[0], instead)
}

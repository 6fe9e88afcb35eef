package app

import (
	"context"
	"path/filepath"

	"github.com/distro-orchestrator/distro/internal/config"
	"github.com/distro-orchestrator/distro/internal/python"
	"github.com/distro-orchestrator/distro/internal/worker"
)

// jobRunners is what runs the jobs of a process: python.Runners, or
// python.Environments.
type jobRunners interface {
	worker.Runners
	Isolation() python.Isolation
	Run(ctx context.Context) error
}

// openRunners makes what runs jobs. With a folder for environments they get
// what requirements.txt asks for, unless their interpreter is that of a virtual
// environment, whose packages are its owner's business.
func openRunners(opts python.Options, environments string) (jobRunners, error) {
	switch {
	case environments == "":
	case opts.Interpreter.Virtual:
		opts.Logger.Info("no environment is prepared: jobs run in a virtual environment already", "python", opts.Interpreter.Path)
	default:
		return python.NewEnvironments(opts, python.EnvironmentOptions{Dir: environments})
	}
	return python.New(opts)
}

// EnvironmentsDir is where an orchestrator keeps the environments of its jobs.
func EnvironmentsDir(cfg config.Config) string { return filepath.Join(cfg.DataDir, "environments") }

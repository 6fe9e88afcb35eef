package python

import (
	"context"
	"os"
	"path/filepath"
)

// EnvironmentState is how the environment of a folder of modules stands.
type EnvironmentState struct {
	Wanted bool   // requirements.txt asks for packages
	Tool   string // that prepares it, for people
	Ready  bool   // it is prepared as requirements.txt asks now
	Python string // its interpreter, or that of an earlier one which serves meanwhile; empty: none is prepared
	Failed string // why it could not be prepared the last time; empty: it was not tried, or not with this content
	Log    string // what that attempt printed, if there is such a file
}

// InspectEnvironment tells how Environments over modules stand that keep their
// environments in dir, running or not. It changes nothing. An error says that
// requirements.txt cannot be read, or that nothing can prepare an environment.
func InspectEnvironment(ctx context.Context, base Interpreter, modules, dir string, environ []string) (EnvironmentState, error) {
	wants, err := readRequirements(modules)
	if err != nil || wants.none {
		return EnvironmentState{}, err
	}
	state := EnvironmentState{Wanted: true}
	by, err := findTool(ctx, base, environ)
	if err != nil {
		return state, err
	}
	store := environmentStore{dir}
	wanted, known := newPlan(modules, base, by, wants), store.recall(modules)
	state.Tool, state.Ready = by.String(), store.complete(wanted.key)
	for _, key := range []string{wanted.key, known.Good} {
		if state.Python == "" && store.complete(key) {
			state.Python = filepath.Join(store.home(key), environmentPython)
		}
	}
	if known.Failed == wanted.key && !state.Ready {
		state.Failed = known.Reason
	}
	if _, err := os.Stat(store.logPath(wanted.key)); err == nil {
		state.Log = store.logPath(wanted.key)
	}
	return state, nil
}

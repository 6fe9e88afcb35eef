package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/python"
)

// Called is a function that jobs call, and whether the modules have it.
type Called struct {
	redisbroker.SurveyedFunction
	Found Found  `json:"found"`
	Note  string `json:"note,omitempty"`
}

// Found says where a function was found.
type Found string

// The kinds of Found.
const (
	FoundHere     Found = "yes"
	FoundImported Found = "imported" // its module has the name from another one
	FoundModule   Found = "module"   // its module is there; the name is none that can be told without running it
	FoundBroken   Found = "broken"   // its module does not parse
	FoundNot      Found = "no"
	FoundUnknown  Found = "unknown" // no folder was named, or it is a method of an object
)

// compareModules looks for functions below a folder. It parses files and
// imports none.
func compareModules(ctx context.Context, list []redisbroker.SurveyedFunction, opts MoveInOptions) (called []Called, err error) {
	called = make([]Called, len(list))
	for i, f := range list {
		called[i] = Called{SurveyedFunction: f, Found: FoundUnknown}
	}
	if opts.Modules == "" {
		return called, nil
	}
	interpreter, err := python.FindInterpreter(ctx, python.InterpreterOptions{Setting: opts.Python, ModulesDir: opts.Modules, VirtualEnv: opts.VirtualEnv})
	if err != nil {
		return nil, fmt.Errorf("parse the modules: %w", err)
	}
	catalog, err := python.NewCatalog(python.CatalogOptions{Interpreter: interpreter, Dir: opts.Modules, Logger: opts.Logger})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, catalog.Close()) }()
	names, err := catalog.Modules(ctx)
	if err != nil {
		return nil, err
	}
	f := finder{catalog: catalog, names: names}
	if _, err := os.Stat(filepath.Join(opts.Modules, "__init__.py")); err == nil {
		f.folder = filepath.Base(opts.Modules) + "."
	}
	for i := range called {
		if err := f.find(ctx, &called[i]); err != nil {
			return nil, err
		}
	}
	return called, nil
}

// finder finds functions by their dotted names.
type finder struct {
	catalog *python.Catalog
	names   []string // of the modules, sorted
	folder  string   // what producers that import the folder as a package write before a name; empty: nothing
}

func (f finder) find(ctx context.Context, c *Called) error {
	dotted := c.Name
	if c.Class != "" {
		dotted = c.Class
	}
	dotted = strings.TrimPrefix(dotted, f.folder)
	module, rest := f.split(dotted)
	if module == "" {
		c.Found = FoundNot
		return nil
	}
	found, err := f.catalog.Module(ctx, module)
	if distro.ErrorCode(err) == distro.CodeNotFound {
		c.Found = FoundNot // deleted since it was listed
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(rest, ".")
	switch {
	case found.Error != nil:
		c.Found, c.Note = FoundBroken, fmt.Sprintf("line %d: %s", found.Error.Line, found.Error.Message)
	case c.Class != "":
		c.Found, c.Note = FoundModule, "a method of an object"
	case slices.ContainsFunc(found.Functions, func(of distro.Function) bool { return of.Name == rest }):
		c.Found = FoundHere
	case slices.Contains(found.Imported, first):
		c.Found, c.Note = FoundImported, "runs, and Distro's API does not enqueue it"
	case first != rest:
		c.Found, c.Note = FoundModule, "a method of a class, or not there"
	default:
		c.Found, c.Note = FoundNot, "the module is there, and has no such function"
	}
	return nil
}

// split divides a dotted name at the longest module that it begins with.
func (f finder) split(dotted string) (module, rest string) {
	for i := len(dotted) - 1; i > 0; i-- {
		if dotted[i] != '.' {
			continue
		}
		if _, is := slices.BinarySearch(f.names, dotted[:i]); is {
			return dotted[:i], dotted[i+1:]
		}
	}
	return "", ""
}

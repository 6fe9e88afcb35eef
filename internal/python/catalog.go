package python

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distro-orchestrator/distro"
)

const (
	maxSource  = 16 << 20    // bytes of a module's file
	parseAgain = time.Minute // after which a file that took too long or crashed Python gets another chance
)

var errModuleGone = errors.New("module was deleted")

// CatalogOptions configure a Catalog.
type CatalogOptions struct {
	Interpreter Interpreter
	Dir         string        // modules_path
	Logger      *slog.Logger  // default: none
	FileTimeout time.Duration // for parsing one file; default 10s
	IdleTimeout time.Duration // after which the parsing process is ended; default 60s
}

func (o CatalogOptions) withDefaults() CatalogOptions {
	o.FileTimeout = cmp.Or(o.FileTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 60*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Catalog lists what can be called under modules_path. It never imports: names
// come from directory entries, functions from parsing the sources in a process
// of the interpreter, which is started when it is needed. Every answer is as
// new as the files are. It is safe for concurrent use, and what it returns must
// not be changed.
type Catalog struct {
	opts CatalogOptions

	parser *parser

	mu    sync.Mutex
	known map[string]described // by module name
}

// described is what is known of a file.
type described struct {
	module distro.Module
	file   stamp
	again  time.Time // moment to parse anew though nothing changed; zero: never
}

// NewCatalog makes a Catalog of a folder that can be read. It starts no process
// yet.
func NewCatalog(opts CatalogOptions) (*Catalog, error) {
	opts = opts.withDefaults()
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open catalog of %q: %w", opts.Dir, err)
	}
	opts.Dir = dir
	folder, err := openModules(dir)
	if err != nil {
		return nil, fmt.Errorf("open catalog of %q: %w", dir, err)
	}
	folder.close()
	return &Catalog{opts: opts, known: make(map[string]described), parser: newParser(opts)}, nil
}

// Close ends the parsing process and returns when it is gone. Afterwards only
// unchanged modules are answered.
func (c *Catalog) Close() error {
	c.parser.close()
	return nil
}

// Modules returns the names of all modules, sorted.
func (c *Catalog) Modules(ctx context.Context) ([]string, error) {
	files, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.name
	}
	return names, nil
}

// All returns every module with its functions, sorted by name.
func (c *Catalog) All(ctx context.Context) ([]distro.Module, error) {
	files, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	modules := make([]distro.Module, 0, len(files))
	for _, file := range files {
		module, err := c.describe(ctx, file)
		if errors.Is(err, errModuleGone) {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		modules = append(modules, module)
	}
	return modules, nil
}

// Module returns one module. An unknown name is of distro.CodeNotFound, Field
// "module"; the message suggests the nearest name there is.
func (c *Catalog) Module(ctx context.Context, name string) (distro.Module, error) {
	if module, ok := c.unchanged(name); ok {
		return module, nil
	}
	folder, err := openModules(c.opts.Dir)
	if err != nil {
		return distro.Module{}, err
	}
	defer folder.close()
	file, found, err := folder.find(ctx, name)
	if err != nil {
		return distro.Module{}, err
	}
	if found {
		module, err := c.describe(ctx, file)
		if !errors.Is(err, errModuleGone) {
			return module, err
		}
	}
	return distro.Module{}, c.notFound(ctx, name)
}

// Source returns what the file of a module holds. It is found as Module finds
// it, so it lies under modules_path, and refused where it is larger than 16 MiB.
func (c *Catalog) Source(ctx context.Context, name string) ([]byte, error) {
	folder, err := openModules(c.opts.Dir)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	file, found, err := folder.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, c.notFound(ctx, name)
	}
	source, _, err := folder.read(file.path, maxSource+1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, c.notFound(ctx, name)
	case err != nil:
		return nil, &distro.Error{Code: distro.CodeUnavailable, Message: fmt.Sprintf("the file of module %q cannot be read", name), Err: err}
	case len(source) > maxSource:
		return nil, distro.Errorf(distro.CodeConflict, "the file of module %q is larger than %d MB", name, maxSource>>20)
	}
	return source, nil
}

func (c *Catalog) notFound(ctx context.Context, name string) error {
	message := fmt.Sprintf("no module named %.100q", name)
	names, err := c.Modules(ctx)
	if err != nil {
		return err
	}
	return &distro.Error{Code: distro.CodeNotFound, Field: "module", Message: message + didYouMean(name, names)}
}

// list finds all modules, and forgets those that are gone.
func (c *Catalog) list(ctx context.Context) ([]moduleFile, error) {
	folder, err := openModules(c.opts.Dir)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	files, err := folder.list(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.known, func(name string, _ described) bool {
		_, found := slices.BinarySearchFunc(files, name, func(f moduleFile, name string) int { return strings.Compare(f.name, name) })
		return !found
	})
	return files, nil
}

// unchanged returns a module that was described before, after one look at its
// file.
func (c *Catalog) unchanged(name string) (distro.Module, bool) {
	c.mu.Lock()
	known, ok := c.known[name]
	c.mu.Unlock()
	if !ok || known.file.racy || !known.again.IsZero() {
		return distro.Module{}, false
	}
	info, err := os.Stat(c.path(name))
	if err != nil || !known.file.equals(info) {
		return distro.Module{}, false
	}
	return known.module, true
}

// path is where the file of a module is found by its name.
func (c *Catalog) path(name string) string {
	return c.opts.Dir + string(filepath.Separator) + strings.ReplaceAll(name, ".", string(filepath.Separator)) + ".py"
}

// describe returns what is known of a file, and parses it when its content is
// new.
func (c *Catalog) describe(ctx context.Context, file moduleFile) (distro.Module, error) {
	if module, ok := c.unchanged(file.name); ok {
		return module, nil
	}
	if err := c.parser.take(ctx); err != nil {
		return distro.Module{}, fmt.Errorf("wait to parse %q: %w", file.name, err)
	}
	defer c.parser.give()
	if module, ok := c.unchanged(file.name); ok { // the one before us parsed it
		return module, nil
	}
	return c.refresh(ctx, file)
}

// refresh reads a file, and parses it unless its content was parsed before.
func (c *Catalog) refresh(ctx context.Context, file moduleFile) (distro.Module, error) {
	folder, err := openModules(c.opts.Dir)
	if err != nil {
		return distro.Module{}, err
	}
	defer folder.close()
	now := time.Now()
	source, info, err := folder.read(file.path, maxSource+1)
	if errors.Is(err, fs.ErrNotExist) {
		return distro.Module{}, errModuleGone
	}
	if err != nil { // not remembered: nothing is known of the file by which to see a change
		module := unparsed("the file cannot be read: " + err.Error())
		module.Name = file.name
		return module, nil
	}
	sum := sha256.Sum256(source)
	hash := hex.EncodeToString(sum[:])
	c.mu.Lock()
	known := c.known[file.name]
	c.mu.Unlock()
	if known.module.Hash != hash || !known.again.IsZero() && now.After(known.again) {
		known, err = c.parse(ctx, file.name, source)
		if err != nil {
			return distro.Module{}, err
		}
		known.module.Name, known.module.Hash = file.name, hash
		top, _, _ := strings.Cut(file.name, ".")
		known.module.Shadows = c.opts.Interpreter.InStdlib(top)
	}
	known.file = newStamp(info, now)
	c.mu.Lock()
	c.known[file.name] = known
	c.mu.Unlock()
	return known.module, nil
}

// parse turns whatever a file makes Python do into an answer. Only an ended ctx
// and a Python that does not start are errors.
func (c *Catalog) parse(ctx context.Context, name string, source []byte) (described, error) {
	if len(source) > maxSource {
		return described{module: unparsed(fmt.Sprintf("the file is larger than %d MB", maxSource>>20))}, nil
	}
	module, err := c.parser.parse(ctx, source)
	if errors.Is(err, errDiscoveryDied) { // perhaps somebody killed it: the file gets a second process
		module, err = c.parser.parse(ctx, source)
	}
	var problem string
	switch {
	case err == nil:
		return described{module: module}, nil
	case errors.Is(err, errFileTimeout):
		problem = fmt.Sprintf("the file could not be parsed within %s", c.opts.FileTimeout)
	case errors.Is(err, errDiscoveryDied):
		problem = "Python crashes when it parses the file"
	default:
		return described{}, fmt.Errorf("parse module %q: %w", name, err)
	}
	c.opts.Logger.Warn("module cannot be parsed", "module", name, "error", err)
	return described{module: unparsed(problem), again: time.Now().Add(parseAgain)}, nil
}

func unparsed(message string) distro.Module {
	return distro.Module{Error: &distro.SyntaxError{Message: message, Line: 1, Column: 1}}
}

// didYouMean is the end of a message about a name that is not there.
func didYouMean(name string, known []string) string {
	if nearest := distro.Nearest(name, known); nearest != "" {
		return fmt.Sprintf(" (did you mean %q?)", nearest)
	}
	return ""
}

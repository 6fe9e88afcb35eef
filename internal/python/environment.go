package python

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// environmentStore keeps environments below a folder, each under a name that says
// what it was made of. Processes may share the folder:
//
//	KEY/             the environment
//	KEY/distro.json  written last: without it KEY is what a dead process left
//	KEY.lock         shared by whoever uses KEY, held alone by whoever makes or removes it
//	KEY.log          what its making printed
//	modules-HASH.json  what is known of one folder of modules: see memory
//
// An environment is made where it stays, not made elsewhere and renamed: the
// programs in it begin with its path.
type environmentStore struct{ dir string }

// environmentRecord stands in an environment that is complete.
const environmentRecord = "distro.json"

// errNotPrepared says that there is no complete environment of a key.
var errNotPrepared = errors.New("the environment is not prepared")

// environment is a complete environment. Nobody removes it until it is closed.
type environment struct {
	key         string
	interpreter Interpreter
	lock        *fileLock
}

func (e *environment) close() { e.lock.unlock() }

// plan says what an environment is made of, and how.
type plan struct {
	key     string
	modules string // folder of the requirements
	base    Interpreter
	tool    tool
	wants   requirements
}

// newPlan reads what the modules want now. Its key is empty where they want
// nothing.
func newPlan(modules string, base Interpreter, by tool, wants requirements) plan {
	p := plan{modules: modules, base: base, tool: by, wants: wants}
	if wants.none {
		return p
	}
	made := []string{"distro environment 1", by.kind, base.Version, base.Executable, base.Platform, hex.EncodeToString(wants.sum[:])}
	if wants.local {
		made = append(made, modules)
	}
	p.key = shortHash(made...)
	return p
}

// shortHash names something by texts that tell it from all others.
func shortHash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:10])
}

func (s environmentStore) home(key string) string { return filepath.Join(s.dir, key) }
func (s environmentStore) record(key string) string {
	return filepath.Join(s.dir, key, environmentRecord)
}
func (s environmentStore) locked(key string) string  { return filepath.Join(s.dir, key+".lock") }
func (s environmentStore) logPath(key string) string { return filepath.Join(s.dir, key+".log") }

// open takes an environment that is complete, or returns errNotPrepared.
func (s environmentStore) open(ctx context.Context, key string) (*environment, error) {
	if !s.complete(key) {
		return nil, errNotPrepared
	}
	lock, err := lockFile(s.locked(key), false)
	if errors.Is(err, errLocked) {
		return nil, errNotPrepared
	}
	if err != nil {
		return nil, fmt.Errorf("open environment %s: %w", key, err)
	}
	if !s.complete(key) { // removed meanwhile
		lock.unlock()
		return nil, errNotPrepared
	}
	found, err := probe(ctx, filepath.Join(s.home(key), environmentPython))
	if err != nil {
		lock.unlock()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open environment %s: %w", key, err)
		}
		return nil, fmt.Errorf("%w: %w", errNotPrepared, err) // the Python it was made with is gone
	}
	return &environment{key: key, interpreter: found, lock: lock}, nil
}

// complete reports whether an environment was made to its end.
func (s environmentStore) complete(key string) bool {
	_, err := os.Stat(s.record(key))
	return key != "" && err == nil
}

// lockAgain is how long somebody who makes an environment is waited for before
// it is looked whether he is done.
const lockAgain = 300 * time.Millisecond

// prepare opens an environment, and makes it where there is none. Another
// process that makes the same one is waited for.
func (s environmentStore) prepare(ctx context.Context, p plan, shop workshop) (*environment, error) {
	for {
		env, err := s.open(ctx, p.key)
		if !errors.Is(err, errNotPrepared) {
			return env, err
		}
		lock, err := lockFile(s.locked(p.key), true)
		switch {
		case errors.Is(err, errLocked):
			select {
			case <-ctx.Done():
				return nil, fmt.Errorf("wait for the process that prepares the same environment: %w", context.Cause(ctx))
			case <-time.After(lockAgain):
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("prepare environment %s: %w", p.key, err)
		}
		err = s.build(ctx, p, shop)
		lock.unlock()
		if err != nil {
			return nil, err
		}
	}
}

// build makes an environment. The caller has its lock alone. What is not
// complete at the end is removed.
func (s environmentStore) build(ctx context.Context, p plan, shop workshop) (err error) {
	home := s.home(p.key)
	if err := s.clear(p.key); err != nil {
		return fmt.Errorf("remove an environment that is not complete: %w", err)
	}
	log, err := newToolLog(s.logPath(p.key))
	if err != nil {
		return err
	}
	defer log.close()
	defer func() {
		if err != nil {
			_ = s.clear(p.key) // else it goes with the next attempt
		}
	}()
	for _, command := range p.tool.commands(p.base, home) {
		if err := shop.run(ctx, p.modules, command, log); err != nil {
			return err
		}
	}
	found, err := probe(ctx, filepath.Join(home, environmentPython))
	if err != nil {
		return fmt.Errorf("look at the environment: %w", err)
	}
	if found.Version != p.base.Version {
		return fmt.Errorf("look at the environment: it is Python %s, and %s was asked for", found.Version, p.base.Version)
	}
	if now, err := readRequirements(p.modules); err != nil || now.sum != p.wants.sum {
		return errors.New("requirements.txt changed while it was installed")
	}
	// A crash of the machine must not leave the record without the rest.
	if err := syncDisk(home); err != nil {
		return err
	}
	return writeJSON(s.record(p.key), map[string]any{
		"modules": p.modules, "python": found.Version, "tool": p.tool.kind, "made_at": time.Now().UTC().Format(time.RFC3339),
	})
}

// clear removes an environment; first what makes it count as one.
func (s environmentStore) clear(key string) error {
	if err := os.Remove(s.record(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeAll(s.home(key))
}

// memory is what is known of the environments of one folder of modules, over
// the end of a process.
type memory struct {
	Modules string    `json:"modules"`
	Good    string    `json:"good,omitempty"`   // key of the last environment that served
	Failed  string    `json:"failed,omitempty"` // key of the one that could not be prepared since
	Reason  string    `json:"reason,omitempty"` // why not
	At      time.Time `json:"at"`
}

func (s environmentStore) memoryPath(modules string) string {
	return filepath.Join(s.dir, "modules-"+shortHash(modules)+".json")
}

// recall returns what remember stored. What cannot be read is not known.
func (s environmentStore) recall(modules string) memory {
	found, err := readMemory(s.memoryPath(modules))
	if err != nil {
		return memory{Modules: modules}
	}
	return found
}

func readMemory(path string) (memory, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return memory{}, err
	}
	var found memory
	if err := json.Unmarshal(data, &found); err != nil {
		return memory{}, err
	}
	for _, key := range []string{found.Good, found.Failed} {
		if key != "" && !keyPattern.MatchString(key) {
			return memory{}, fmt.Errorf("%q is no key of an environment", key)
		}
	}
	return found, nil
}

func (s environmentStore) remember(m memory) error {
	m.At = time.Now().UTC().Truncate(time.Second)
	return writeJSON(s.memoryPath(m.Modules), m)
}

// writeJSON replaces a file at once, synced to disk.
func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = file.Write(append(data, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

var (
	keyPattern      = regexp.MustCompile(`^[0-9a-f]{20}$`)
	keptPattern     = regexp.MustCompile(`^([0-9a-f]{20})(\.log|\.lock)?$`)
	memoryPattern   = regexp.MustCompile(`^modules-[0-9a-f]{20}\.json$`)
	unfinishedWrite = regexp.MustCompile(`^\.new-[0-9]+$`)
)

// prune removes the environments that no process uses and that are not the
// last good one of a folder of modules that is still there, nor the one of a key
// that is about to be. The log of the last failure stays too.
func (s environmentStore) prune(keep string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("look for old environments: %w", err)
	}
	good, logs := map[string]bool{keep: true}, map[string]bool{}
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		if !memoryPattern.MatchString(entry.Name()) {
			continue
		}
		m, err := readMemory(path)
		if err != nil {
			_ = os.Remove(path) // nothing follows from it
			continue
		}
		if _, err := os.Stat(m.Modules); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(path)
			continue
		}
		good[m.Good], logs[m.Good], logs[m.Failed] = true, true, true
	}
	var errs []error
	done := map[string]bool{}
	for _, entry := range entries {
		parts := keptPattern.FindStringSubmatch(entry.Name())
		switch {
		case unfinishedWrite.MatchString(entry.Name()):
			if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
				_ = os.Remove(filepath.Join(s.dir, entry.Name()))
			}
		case parts == nil || good[parts[1]] || done[parts[1]]:
		default:
			done[parts[1]] = true
			errs = append(errs, s.discard(parts[1], logs[parts[1]]))
		}
	}
	return errors.Join(errs...)
}

// discard removes an environment unless somebody uses or makes it.
func (s environmentStore) discard(key string, keepLog bool) error {
	lock, err := lockFile(s.locked(key), true)
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove environment %s: %w", key, err)
	}
	defer lock.remove()
	if err := s.clear(key); err != nil {
		return fmt.Errorf("remove environment %s: %w", key, err)
	}
	if !keepLog {
		_ = os.Remove(s.logPath(key))
	}
	return nil
}

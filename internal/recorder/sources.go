package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Sources tells of the code in a folder of modules. A nil one knows nothing.
type Sources struct {
	// Dir is modules_path.
	Dir string

	mu     sync.Mutex
	hashes map[string]hashed
	parts  map[string][2]string // of dotted functions
	head   string
	till   time.Time // head and parts are believed until then
}

// hashed is the hash of a file as it was.
type hashed struct {
	size int64
	at   time.Time
	sum  string
}

// split parts a dotted function into its module and the rest: behind the longest
// name that has a file, else at the last dot.
func (s *Sources) split(function string) (module, name string) {
	at := strings.LastIndexByte(function, '.')
	if s == nil || s.Dir == "" || len(function) > maxName || !modulePattern.MatchString(function) {
		return function[:max(at, 0)], function[at+1:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	if known, ok := s.parts[function]; ok {
		return known[0], known[1]
	}
	if root, err := os.OpenRoot(s.Dir); err == nil {
		defer root.Close()
		for i := at; i > 0; i = strings.LastIndexByte(function[:i], '.') {
			if hasModule(root, function[:i]) {
				at = i
				break
			}
		}
	}
	parts := [2]string{function[:max(at, 0)], function[at+1:]}
	if len(s.parts) < maxParts {
		s.parts[function] = parts
	}
	return parts[0], parts[1]
}

const (
	maxName   = 500 // bytes of a function's name that is looked for in files
	maxParts  = 10_000
	believeIt = 2 * time.Second // how long files are believed to be as they were
)

// forget drops what may have changed since. mu is held.
func (s *Sources) forget() {
	if now := time.Now(); now.After(s.till) {
		s.till, s.head, s.parts = now.Add(believeIt), readHead(s.Dir), map[string][2]string{}
	}
}

func hasModule(root *os.Root, module string) bool {
	path := filepath.FromSlash(strings.ReplaceAll(module, ".", "/"))
	for _, name := range []string{path + ".py", filepath.Join(path, "__init__.py")} {
		if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

var modulePattern = regexp.MustCompile(`^\w+(\.\w+)*$`)

// hash is the SHA-256 of a module's file, as it is now; empty where it cannot be
// read.
func (s *Sources) hash(module string) string {
	if s == nil || s.Dir == "" || !modulePattern.MatchString(module) {
		return ""
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return ""
	}
	defer root.Close()
	path := filepath.FromSlash(strings.ReplaceAll(module, ".", "/"))
	for _, name := range []string{path + ".py", filepath.Join(path, "__init__.py")} {
		if sum := s.hashFile(root, name); sum != "" {
			return sum
		}
	}
	return ""
}

func (s *Sources) hashFile(root *os.Root, name string) string {
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.hashes[name]; was.sum != "" && was.size == info.Size() && was.at.Equal(info.ModTime()) {
		return was.sum
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	if s.hashes == nil {
		s.hashes = map[string]hashed{}
	}
	sum := hex.EncodeToString(h.Sum(nil))
	s.hashes[name] = hashed{info.Size(), info.ModTime(), sum}
	return sum
}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// Commit is what is checked out in the Git work tree that the folder is the top
// of, or lies in; empty: none.
func (s *Sources) Commit() string {
	if s == nil || s.Dir == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	return s.head
}

// readHead reads what Git keeps in files: HEAD, the branch it names, or the list
// of packed branches.
func readHead(dir string) string {
	git := gitDir(dir)
	if git == "" {
		return ""
	}
	head := readLine(filepath.Join(git, "HEAD"))
	name, isRef := strings.CutPrefix(head, "ref: ")
	if !isRef {
		return onlyCommit(head)
	}
	if !filepath.IsLocal(name) {
		return ""
	}
	common := git
	if shared := readLine(filepath.Join(git, "commondir")); shared != "" { // of a linked work tree
		if common = shared; !filepath.IsAbs(shared) {
			common = filepath.Join(git, shared)
		}
	}
	for _, folder := range []string{git, common} {
		if commit := onlyCommit(readLine(filepath.Join(folder, filepath.FromSlash(name)))); commit != "" {
			return commit
		}
	}
	packed, err := os.ReadFile(filepath.Join(common, "packed-refs"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(packed)) {
		if commit, ref, _ := strings.Cut(strings.TrimSpace(line), " "); ref == name {
			return onlyCommit(commit)
		}
	}
	return ""
}

// gitDir finds the folder of Git for dir or one above it.
func gitDir(dir string) string {
	for {
		path := filepath.Join(dir, ".git")
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			return path
		case err == nil: // a linked work tree names its own
			linked := strings.TrimPrefix(readLine(path), "gitdir: ")
			if linked != "" && !filepath.IsAbs(linked) {
				linked = filepath.Join(dir, linked)
			}
			return linked
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// readLine is the first line of a small file; empty where there is none.
func readLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

func onlyCommit(text string) string {
	if commitPattern.MatchString(text) {
		return text
	}
	return ""
}

package python

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// requirementsFile is the file of modules_path that says what jobs need.
const requirementsFile = "requirements.txt"

// Bounds of what requirements refer to.
const (
	maxRequirements     = 1 << 20   // bytes of a file
	maxRequirementFiles = 64        // files that name each other
	maxLocalPackage     = 512 << 20 // bytes of a package whose content is looked at
)

// requirements is what requirements.txt of a folder asks for: its text, that of
// the files it includes, and the packages in files that it names.
type requirements struct {
	sum   [sha256.Size]byte
	none  bool // there is no file, or it asks for nothing
	local bool // what is installed depends on files beside it
	seen  []seenFile
}

// seenFile is a file that requirements depend on. One that is not there has no
// stamp.
type seenFile struct {
	path  string
	stamp stamp
}

// readRequirements reads requirements.txt of a folder. It is an error when the
// folder or the file cannot be read, or is no such file.
func readRequirements(dir string) (requirements, error) {
	if _, err := os.Stat(dir); err != nil {
		return requirements{}, fmt.Errorf("look for %s: %w", requirementsFile, err)
	}
	r := reading{dir: dir, hash: sha256.New()}
	r.found.none = true
	r.queue = []string{requirementsFile}
	for len(r.queue) > 0 {
		name := r.queue[0]
		r.queue = r.queue[1:]
		if err := r.include(name); err != nil {
			return requirements{}, err
		}
	}
	r.hash.Sum(r.found.sum[:0])
	return r.found, nil
}

// unchanged reports whether reading again would find the same.
func (r requirements) unchanged() bool {
	for _, file := range r.seen {
		info, err := os.Stat(file.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if file.stamp.info != nil {
				return false
			}
		case err != nil || file.stamp.info == nil || file.stamp.racy || !file.stamp.equals(info):
			return false
		}
	}
	return len(r.seen) > 0
}

// reading is one pass over requirements.
type reading struct {
	dir   string
	hash  hash.Hash
	found requirements
	queue []string // files to include, relative to dir or absolute
}

// include takes a file of requirements in. A file that is not there counts as
// what it is: pip will say so, and the moment it appears is a change.
func (r *reading) include(name string) error {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	text, err := r.take(name, path, maxRequirements)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		ref := refer(line)
		if ref.blank {
			continue
		}
		r.found.none = false
		r.found.local = r.found.local || ref.local
		switch {
		case ref.include != "" && len(r.queue)+len(r.found.seen) >= maxRequirementFiles:
			return fmt.Errorf("read %s: it includes more than %d files", requirementsFile, maxRequirementFiles)
		case ref.include != "":
			next := ref.include
			if !filepath.IsAbs(next) {
				next = filepath.Join(filepath.Dir(name), next)
			}
			if !r.known(next) {
				r.queue = append(r.queue, next)
			}
		case ref.file != "" && len(r.found.seen) < 2*maxRequirementFiles:
			if err := r.pack(ref.file); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reading) known(name string) bool {
	for _, queued := range r.queue {
		if queued == name {
			return true
		}
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	for _, file := range r.found.seen {
		if file.path == path {
			return true
		}
	}
	return false
}

// take adds a file to the hash and returns what it holds.
func (r *reading) take(name, path string, limit int64) (string, error) {
	file, err := r.open(name, path)
	if file == nil || err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return "", fmt.Errorf("read requirements: %w", err)
	}
	if int64(len(text)) > limit {
		return "", fmt.Errorf("read requirements: %s is larger than %d bytes", name, limit)
	}
	fmt.Fprintf(r.hash, "text %q %d\n", name, len(text))
	r.hash.Write(text)
	return string(text), nil
}

// pack adds a package in a file to the hash, by its content.
func (r *reading) pack(name string) error {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if r.known(path) {
		return nil
	}
	file, err := r.open(name, path)
	if file == nil || err != nil {
		return err
	}
	defer file.Close()
	content := sha256.New()
	if _, err := io.Copy(content, io.LimitReader(file, maxLocalPackage)); err != nil {
		return fmt.Errorf("read package %s: %w", name, err)
	}
	fmt.Fprintf(r.hash, "file %q %x\n", name, content.Sum(nil))
	return nil
}

// open opens a file and remembers its stamp; nil: it is not there.
func (r *reading) open(name, path string) (*os.File, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.found.seen = append(r.found.seen, seenFile{path: path})
		fmt.Fprintf(r.hash, "none %q\n", name)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at requirements: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a named pipe would wait for its writer
		return nil, fmt.Errorf("open requirements: %s is not a regular file", name)
	}
	r.found.seen = append(r.found.seen, seenFile{path: path, stamp: newStamp(info, time.Now())})
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open requirements: %w", err)
	}
	return file, nil
}

// reference is what a line of requirements refers to.
type reference struct {
	blank   bool
	include string // a file of requirements or constraints
	file    string // a package in a file
	local   bool   // something on this machine
}

// refer reads a line as far as it has to be known what the environment depends
// on. What the line means otherwise is between the user and pip.
func refer(line string) reference {
	line = strings.TrimSpace(line)
	if cut := strings.Index(line, " #"); cut >= 0 {
		line = strings.TrimSpace(line[:cut])
	}
	if line == "" || line[0] == '#' {
		return reference{blank: true}
	}
	if target, found := included(line); found {
		if strings.Contains(target, "://") {
			return reference{}
		}
		return reference{include: filepath.FromSlash(target)}
	}
	ref := reference{local: strings.Contains(line, "file:")}
	for _, begin := range []string{".", "/", "-e", "--editable", "-f", "--find-links"} {
		ref.local = ref.local || strings.HasPrefix(line, begin)
	}
	if _, path, found := strings.Cut(line, "file://"); found {
		line = path
	}
	word, _, _ := strings.Cut(strings.Fields(line + " -")[0], "#")
	for _, kind := range []string{".whl", ".tar.gz", ".zip"} {
		if strings.HasSuffix(word, kind) && !strings.Contains(word, "://") {
			ref.file, ref.local = filepath.FromSlash(word), true
		}
	}
	return ref
}

// included is the file that a line includes.
func included(line string) (target string, found bool) {
	for _, option := range []string{"--requirement", "--constraint", "-r", "-c"} {
		rest, found := strings.CutPrefix(line, option)
		if !found || rest == "" || strings.HasPrefix(option, "--") && !strings.ContainsAny(rest[:1], " \t=") {
			continue
		}
		return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "=")), true
	}
	return "", false
}

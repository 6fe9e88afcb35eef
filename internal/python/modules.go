package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distro-orchestrator/distro"
)

// Bounds of a modules folder. Whoever passes them set modules_path to
// something that is no folder of automations.
const (
	maxFolderDepth   = 32
	maxFolderEntries = 200_000 // files and folders looked at
	maxNameLen       = 512     // bytes of a dotted name
)

// moduleFile is a module and its file, relative to the modules folder and
// without symlinks.
type moduleFile struct {
	name string
	path string
}

// modulesFolder reads a modules folder. Whatever it opens lies in the folder,
// also while somebody swaps folders for symlinks. It is made anew for each use,
// as a deployment may swap the folder itself.
type modulesFolder struct {
	dir  string // absolute
	root *os.Root
}

func openModules(dir string) (*modulesFolder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &distro.Error{Code: distro.CodeUnavailable, Err: err,
			Message: "the modules folder cannot be read: check modules_path"}
	}
	return &modulesFolder{dir: dir, root: root}, nil
}

func (f *modulesFolder) close() { _ = f.root.Close() }

// list finds every module, sorted by name.
func (f *modulesFolder) list(ctx context.Context) ([]moduleFile, error) {
	w := moduleWalk{folder: f}
	if err := w.visit(ctx, "", []string{"."}); err != nil {
		return nil, fmt.Errorf("list modules of %q: %w", f.dir, err)
	}
	slices.SortFunc(w.found, func(a, b moduleFile) int { return strings.Compare(a.name, b.name) })
	return w.found, nil
}

// find looks one module up by the rules of list. Names count in the case that
// the directory entries have, whatever the file system thinks of case.
func (f *modulesFolder) find(ctx context.Context, name string) (moduleFile, bool, error) {
	if len(name) > maxNameLen {
		return moduleFile{}, false, nil
	}
	w := moduleWalk{folder: f, only: strings.Split(name, ".")}
	if err := w.visit(ctx, "", []string{"."}); err != nil {
		return moduleFile{}, false, fmt.Errorf("find module %q in %q: %w", name, f.dir, err)
	}
	if len(w.found) == 0 {
		return moduleFile{}, false, nil
	}
	return w.found[0], true, nil
}

// read returns what the file at path, as list and find return it, holds, and
// the stamp it had before it was read.
func (f *modulesFolder) read(path string, limit int64) ([]byte, fs.FileInfo, error) {
	// Opening a named pipe would wait for its writer.
	if info, err := f.root.Stat(path); err != nil {
		return nil, nil, fmt.Errorf("look at module file: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("open module file %q: not a regular file", path)
	}
	file, err := f.root.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open module file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("look at module file: %w", err)
	}
	source, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, nil, fmt.Errorf("read module file: %w", err)
	}
	return source, info, nil
}

// moduleWalk is one pass over a modules folder.
type moduleWalk struct {
	folder *modulesFolder
	only   []string // parts of the one name looked for; empty: all
	seen   int
	found  []moduleFile
}

// visit looks at the last folder of chain, the folders entered so far without
// symlinks. A link back into the chain is not entered: it would never end.
func (w *moduleWalk) visit(ctx context.Context, prefix string, chain []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := chain[len(chain)-1]
	entries, err := w.entries(path)
	if err != nil && len(chain) == 1 || errors.Is(err, errTooManyEntries) {
		return err
	}
	if err != nil { // Python could not read this folder either
		return nil
	}
	isEnvironment := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "pyvenv.cfg" })
	if isEnvironment && len(chain) > 1 {
		return nil
	}
	for _, entry := range entries {
		if !w.wanted(entry.Name(), len(chain)) {
			continue
		}
		if err := w.take(ctx, prefix, chain, entry); err != nil {
			return err
		}
	}
	return nil
}

// take adds the entry of the last folder of chain if it is a module, and visits
// it if it is a package.
func (w *moduleWalk) take(ctx context.Context, prefix string, chain []string, entry fs.DirEntry) error {
	path := filepath.Join(chain[len(chain)-1], entry.Name())
	target, mode, ok := w.folder.resolve(path, entry.Type())
	if !ok || len(prefix)+len(entry.Name()) > maxNameLen {
		return nil
	}
	if mode.IsDir() {
		isPackage := isPackageName(entry.Name()) && !isLeftOut(filepath.Base(target))
		if !isPackage || len(chain) == maxFolderDepth || slices.Contains(chain, target) {
			return nil
		}
		return w.visit(ctx, prefix+entry.Name()+".", append(chain, target))
	}
	name, isSource := strings.CutSuffix(entry.Name(), ".py")
	if mode.IsRegular() && isSource && isModuleName(name) {
		w.found = append(w.found, moduleFile{name: prefix + name, path: target})
	}
	return nil
}

// wanted reports whether the entry leads to the name looked for.
func (w *moduleWalk) wanted(entry string, depth int) bool {
	switch {
	case len(w.only) == 0:
		return true
	case depth < len(w.only):
		return entry == w.only[depth-1]
	case depth == len(w.only):
		return entry == w.only[depth-1]+".py"
	}
	return false
}

var errTooManyEntries = fmt.Errorf("more than %d files and folders: check modules_path", maxFolderEntries)

func (w *moduleWalk) entries(path string) ([]fs.DirEntry, error) {
	dir, err := w.folder.root.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxFolderEntries - w.seen + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	if w.seen += len(entries); w.seen > maxFolderEntries {
		return nil, errTooManyEntries
	}
	return entries, nil
}

// resolve is where path leads and what is there. It is not ok for what leads
// out of the folder or nowhere.
func (f *modulesFolder) resolve(path string, mode fs.FileMode) (target string, targetMode fs.FileMode, ok bool) {
	if mode&fs.ModeSymlink == 0 {
		return path, mode, true
	}
	// os.Root refuses absolute links, also those that lead back inside.
	dir, err := filepath.EvalSymlinks(f.dir)
	if err != nil {
		return "", 0, false
	}
	end, err := filepath.EvalSymlinks(filepath.Join(dir, path))
	if err != nil {
		return "", 0, false
	}
	target, err = filepath.Rel(dir, end)
	if err != nil || !filepath.IsLocal(target) {
		return "", 0, false
	}
	info, err := f.root.Stat(target)
	if err != nil {
		return "", 0, false
	}
	return target, info.Mode(), true
}

func isModuleName(name string) bool {
	return name != "__init__" && name != "__main__" && isIdentifier(name)
}

func isPackageName(name string) bool { return !isLeftOut(name) && isIdentifier(name) }

// isLeftOut reports whether a folder of this name holds other things than
// automations.
func isLeftOut(folder string) bool {
	return folder == "__pycache__" || folder == "node_modules" || folder == "site-packages"
}

// isIdentifier follows str.isidentifier, without Python's keywords.
func isIdentifier(name string) bool {
	if name == "" || !utf8.ValidString(name) || isKeyword(name) {
		return false
	}
	for i, r := range name {
		begins := r == '_' || unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
		if !begins && (i == 0 || !unicode.In(r, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc)) {
			return false
		}
	}
	return true
}

// isKeyword reports whether name cannot stand in an import statement.
func isKeyword(name string) bool {
	switch name {
	case "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
		"del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
		"nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield":
		return true
	}
	return false
}

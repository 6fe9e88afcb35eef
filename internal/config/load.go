package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// envPrefix begins the names of the variables that override the file.
const envPrefix = "DISTRO_"

// Sources is where settings come from; later fields override earlier ones.
type Sources struct {
	File         string            // settings file, as the user named it; empty: none
	FileRequired bool              // a File that does not exist is an error
	Environ      []string          // "NAME=value", as os.Environ returns it; empty values count as not set
	Flags        map[string]string // by the names of settings
}

// Load reads the settings. Its errors are for people, in one line that names
// the place: distro.CodeInvalid where a source is wrong.
func Load(src Sources) (Config, error) {
	here, err := filepath.Abs(".")
	if err != nil {
		return Config{}, fmt.Errorf("find the current folder: %w", err)
	}
	l := loader{table: Settings(), config: Config{origins: map[string]string{}}}
	fromFile, err := l.file(src, here)
	if err != nil {
		return Config{}, err
	}
	fromEnv, err := l.environment(src.Environ, here)
	if err != nil {
		return Config{}, err
	}
	if err := l.defaults(here); err != nil {
		return Config{}, err
	}
	for _, a := range slices.Concat(fromFile, fromEnv, l.flags(src.Flags, here)) {
		if err := l.apply(a); err != nil {
			return Config{}, err
		}
	}
	return l.config, l.config.check()
}

// assignment is a setting as a source gives it.
type assignment struct {
	setting *Setting
	text    string
	origin  string // as Config.Origin shows it
	base    string // folder of relative paths
	more    int    // line of the file where the value goes on; 0: nowhere
}

type loader struct {
	table  []Setting
	config Config
}

func (l *loader) find(name string) *Setting {
	for i := range l.table {
		if s := &l.table[i]; name == s.Name || name != "" && name == s.Alias {
			return s
		}
	}
	return nil
}

// nearest ends the error about an unknown name; form writes a setting's name
// as that source would.
func (l *loader) nearest(name string, form func(string) string) string {
	var known []string
	for _, s := range l.table {
		known = append(known, s.Name)
	}
	if near := distro.Nearest(name, known); near != "" {
		return fmt.Sprintf("(did you mean %s?)", form(near))
	}
	return fmt.Sprintf("(the nearest one is %s; `distro up --help` lists them)", form(distro.Closest(name, known)))
}

func (l *loader) defaults(here string) error {
	base := here
	if l.config.File != "" {
		base = filepath.Dir(l.config.File)
	}
	for _, s := range l.table {
		if s.initial == "" {
			continue
		}
		if err := s.value.read(&l.config, s.initial, base); err != nil {
			return fmt.Errorf("default of %s: %w", s.Name, err)
		}
	}
	return nil
}

// file reads the settings file and sets Config.File.
func (l *loader) file(src Sources, here string) ([]assignment, error) {
	if src.File == "" {
		return nil, nil
	}
	data, err := readFile(src.File)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !src.FileRequired:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, invalid("%s: no such file: create it, or name another with --config", src.File)
	case err != nil:
		return nil, invalid("%s: cannot be read (%v): name a readable file with --config", src.File, cause(err))
	}
	entries, err := parseINI(data)
	if err != nil {
		return nil, place(src.File, err)
	}
	l.config.File = src.File
	if !filepath.IsAbs(src.File) {
		l.config.File = filepath.Join(here, src.File)
	}
	return l.entries(src.File, filepath.Dir(l.config.File), entries)
}

func (l *loader) entries(file, base string, entries []entry) ([]assignment, error) {
	var list []assignment
	lines := map[string]int{}
	for _, e := range entries {
		origin := fmt.Sprintf("%s:%d", file, e.line)
		s := l.find(e.name)
		if s == nil {
			return nil, invalid("%s: unknown setting %s %s", origin, quote(e.name), l.nearest(e.name, quote))
		}
		if first := lines[s.Name]; first != 0 {
			return nil, invalid("%s: %s is set twice, here and in line %d: keep one of them", origin, s.Name, first)
		}
		lines[s.Name] = e.line
		list = append(list, assignment{setting: s, text: e.value, origin: origin, base: base, more: e.more})
	}
	return list, nil
}

// environment picks the variables that are settings. Those a job sees are
// none: a job may well start Distro.
func (l *loader) environment(environ []string, here string) ([]assignment, error) {
	jobs := []string{"DISTRO_JOB_ID", "DISTRO_QUEUE", "DISTRO_ATTEMPT", "DISTRO_ARTIFACTS"}
	var list []assignment
	names := map[string]string{}
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || text == "" || slices.Contains(jobs, name) {
			continue
		}
		s, inFile := l.named(rest)
		if s == nil {
			form := func(setting string) string { return envPrefix + strings.ToUpper(setting) }
			return nil, invalid("%s: no setting has this name %s", printable(name), l.nearest(strings.ToLower(rest), form))
		}
		if first := names[s.Name]; first != "" {
			return nil, invalid("%s: %s is set twice, here and by %s: keep one of them", name, s.Name, first)
		}
		names[s.Name] = name
		if inFile {
			var err error
			if text, err = ReadSecret(text); err != nil {
				return nil, invalid("%s: %v", name, err)
			}
		}
		list = append(list, assignment{setting: s, text: text, origin: name, base: here})
	}
	return list, nil
}

// named finds the setting of a variable without its prefix, and whether the
// variable names a file that holds the value, as it may for secrets.
func (l *loader) named(rest string) (s *Setting, inFile bool) {
	if s := l.find(strings.ToLower(rest)); s != nil {
		return s, false
	}
	name, suffixed := strings.CutSuffix(rest, FileSuffix)
	if s := l.find(strings.ToLower(name)); suffixed && s != nil && s.Secret {
		return s, true
	}
	return nil, false
}

// flags takes the flags of the command line, which checked their names.
func (l *loader) flags(flags map[string]string, here string) []assignment {
	var list []assignment
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if s := l.find(name); s != nil {
			list = append(list, assignment{setting: s, text: flags[name], origin: "--" + s.Flag, base: here})
		}
	}
	return list
}

func (l *loader) apply(a assignment) error {
	s := a.setting
	where := a.origin
	if where != envPrefix+strings.ToUpper(s.Name) && where != "--"+s.Name {
		where += ": " + s.Name
	}
	if a.more != 0 && !s.value.many {
		return invalid("%s: line %d goes on with its value because it is indented: begin that line at the left", where, a.more)
	}
	if err := s.value.read(&l.config, a.text, a.base); err != nil {
		return invalid("%s: %v%s", where, err, hint(a.text))
	}
	l.config.origins[s.Name] = a.origin
	return nil
}

// hint names the usual reasons for a value that does not fit.
func hint(text string) string {
	switch {
	case strings.Contains(text, " #") || strings.Contains(text, " ;"):
		return "; a comment needs a line of its own"
	case len(text) > 1 && strings.ContainsAny(text[:1], `"'`) && text[0] == text[len(text)-1]:
		return "; write it without the quotes"
	case text == "":
		return "; remove the line for the default"
	}
	return ""
}

// FileToken returns auth_token of a settings file, and "" when the file is not
// there, cannot be read or sets none. Clients use it: they have no use for the
// rest of the file, and another program's file is no reason to stop.
func FileToken(file string) string {
	data, err := readFile(file)
	if err != nil {
		return ""
	}
	entries, err := parseINI(data)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if e.name == "auth_token" {
			return e.value
		}
	}
	return ""
}

// readFile reads at most one byte more than a settings file may have.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// cause is a file error without the operation and the path.
func cause(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}

func printable(name string) string {
	quoted := quote(name)
	return quoted[1 : len(quoted)-1]
}

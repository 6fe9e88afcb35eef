package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// file is a file of an archive or a package; its name has slashes.
type file struct {
	name string
	mode int64
	data []byte
}

// from reads a file of the repository under the name it gets.
func from(source, name string, mode int64) (file, error) {
	data, err := os.ReadFile(source)
	if err != nil {
		return file{}, fmt.Errorf("read %s: %w", source, err)
	}
	return file{name, mode, data}, nil
}

// common are the files that all archives have beside the binary.
func (r *release) common(ctx context.Context) ([]file, error) {
	var files []file
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "config.cfg"} {
		f, err := from(name, name, 0o644)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	for _, folder := range []string{"docs", "examples/automations"} {
		found, err := below(folder)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	here := target{os: runtime.GOOS, arch: runtime.GOARCH}
	if _, err := r.build(ctx, here); err != nil {
		return nil, err
	}
	for _, shell := range []string{"bash", "fish", "powershell", "zsh"} {
		text, err := command(ctx, nil, r.binary(here), "completion", shell)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"completion/distro." + shell, 0o644, text})
	}
	notices, err := notices(ctx)
	if err != nil {
		return nil, err
	}
	return append(files, file{"THIRD-PARTY-NOTICES.txt", 0o644, notices}), nil
}

// below reads the files of a folder that people read or run.
func below(folder string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "__pycache__" || strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		f, err := from(name, filepath.ToSlash(name), 0o644)
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read folder %s: %w", folder, err)
	}
	return files, nil
}

// notices are the licenses of everything that is in the binaries, which ask to
// be handed on with it. A module without one is an error. Those of the scripts are
// served by the dashboard.
func notices(ctx context.Context) ([]byte, error) {
	found := map[string]string{}
	for _, t := range []string{"linux", "darwin", "windows"} {
		text, err := command(ctx, []string{"GOOS=" + t, "CGO_ENABLED=0"}, "go", "list", "-deps", "-json=Module", "./cmd/distro")
		if err != nil {
			return nil, err
		}
		for d := json.NewDecoder(bytes.NewReader(text)); ; {
			var p struct {
				Module *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := d.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read list of packages: %w", err)
			}
			if m := p.Module; m != nil && !m.Main {
				found[m.Path+" "+m.Version] = m.Dir
			}
		}
	}
	goroot, err := command(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	found["Go"] = strings.TrimSpace(string(goroot))
	var all bytes.Buffer
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := notice(&all, name, found[name]); err != nil {
			return nil, err
		}
	}
	return all.Bytes(), nil
}

// notice writes the licenses that lie in the folder of a module.
func notice(to *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for the license of %s: %w", name, err)
	}
	license := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([.-].*)?$`)
	some := false
	for _, entry := range entries {
		if entry.IsDir() || !license.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return fmt.Errorf("read the license of %s: %w", name, err)
		}
		some = true
		fmt.Fprintf(to, "==== %s: %s\n\n%s\n\n", name, entry.Name(), bytes.TrimSpace(text))
	}
	if !some {
		return fmt.Errorf("%s has no license in %s", name, path.Clean(dir))
	}
	return nil
}

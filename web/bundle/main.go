// Command bundle makes what browsers get of the scripts in web/src: modules with
// names that change with what is in them, and beside each the same compressed.
//
//	bundle FOLDER   bundles FOLDER/src into FOLDER/dist
//
// It fails when pages would load more than they may.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// The budget, in bytes as they are sent. A page may have every element, so that
// all scripts together count.
const (
	maxScripts = 60_000
	maxElement = 8_000
)

const manifest = "manifest.json"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bundle FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("find %s: %w", folder, err)
	}
	result := api.Build(options(folder))
	if err := problems(result.Errors, result.Warnings); err != nil {
		return err
	}
	dist := filepath.Join(folder, "dist")
	if err := empty(dist); err != nil {
		return err
	}
	names := map[string]string{}
	scripts := 0
	for _, file := range result.OutputFiles {
		size, err := write(file.Path, file.Contents)
		if err != nil {
			return err
		}
		name := filepath.Base(file.Path)
		if !strings.HasPrefix(name, "chunk-") { // which only other scripts name
			names[plain(name)] = name
		}
		if path.Ext(name) == ".js" {
			scripts += size
		}
		fmt.Printf("%8d bytes  %s\n", size, name)
	}
	fmt.Printf("%8d bytes  all scripts, of %d\n", scripts, maxScripts)
	err = elements(folder)
	if scripts > maxScripts {
		err = errors.Join(err, fmt.Errorf("all scripts are %d bytes compressed, at most %d", scripts, maxScripts))
	}
	if err != nil {
		return err
	}
	if err := writeLicenses(folder, dist); err != nil {
		return err
	}
	// It comes last: what has no manifest was not made.
	return writeManifest(dist, names)
}

func options(folder string) api.BuildOptions {
	return api.BuildOptions{
		AbsWorkingDir:     folder,
		EntryPoints:       []string{"src/app.ts"},
		Outdir:            "dist",
		EntryNames:        "[name]-[hash]",
		ChunkNames:        "[name]-[hash]",
		AssetNames:        "[name]-[hash]",
		Bundle:            true,
		Splitting:         true,
		Format:            api.FormatESModule,
		Platform:          api.PlatformBrowser,
		Target:            api.ES2022,
		Charset:           api.CharsetUTF8,
		Loader:            map[string]api.Loader{".css": api.LoaderFile},
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsEndOfFile,
		LogLevel:          api.LogLevelSilent,
	}
}

// problems counts warnings too: nobody reads them otherwise.
func problems(lists ...[]api.Message) error {
	var all error
	for _, m := range slices.Concat(lists...) {
		at := ""
		if m.Location != nil {
			at = fmt.Sprintf("%s:%d: ", m.Location.File, m.Location.Line)
		}
		all = errors.Join(all, fmt.Errorf("%s%s", at, m.Text))
	}
	return all
}

// empty removes what an earlier run made.
func empty(dist string) error {
	entries, err := os.ReadDir(dist)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list %s: %w", dist, err)
	}
	for _, e := range entries {
		if e.Name() == ".gitkeep" {
			continue
		}
		if err := os.Remove(filepath.Join(dist, e.Name())); err != nil {
			return fmt.Errorf("remove what was bundled before: %w", err)
		}
	}
	return nil
}

// plain is a name without the hash in it.
func plain(name string) string {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if i := strings.LastIndexByte(stem, '-'); i >= 0 {
		stem = stem[:i]
	}
	return stem + ext
}

// write writes a file and its compressed sibling, and returns the latter's size.
func write(name string, contents []byte) (int, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, fmt.Errorf("make folder for %s: %w", name, err)
	}
	packed, err := compress(contents)
	if err != nil {
		return 0, err
	}
	for to, b := range map[string][]byte{name: contents, name + ".gz": packed} {
		if err := os.WriteFile(to, b, 0o644); err != nil {
			return 0, fmt.Errorf("write bundled file: %w", err)
		}
	}
	return len(packed), nil
}

// compress has no time in it, so that equal files stay equal.
func compress(contents []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := w.Write(contents); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return packed.Bytes(), nil
}

// writeLicenses collects what the licenses of others ask to be handed on with
// their code.
func writeLicenses(folder, dist string) error {
	var all bytes.Buffer
	for _, name := range []string{"htmx.org", "uplot"} {
		text, err := os.ReadFile(filepath.Join(folder, "node_modules", name, "LICENSE"))
		if err != nil {
			return fmt.Errorf("read license of %s: %w", name, err)
		}
		fmt.Fprintf(&all, "%s\n\n%s\n\n", name, bytes.TrimSpace(text))
	}
	_, err := write(filepath.Join(dist, "licenses.txt"), all.Bytes())
	return err
}

// writeManifest says by what names pages find the files.
func writeManifest(dist string, names map[string]string) error {
	text, err := json.MarshalIndent(names, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", manifest, err)
	}
	if err := os.WriteFile(filepath.Join(dist, manifest), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", manifest, err)
	}
	return nil
}

// elements holds each of our own files by itself against its bound.
func elements(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "src", "*.ts"))
	if err != nil {
		return fmt.Errorf("list scripts: %w", err)
	}
	var all error
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read script: %w", err)
		}
		result := api.Transform(string(source), api.TransformOptions{
			Loader: api.LoaderTS, Target: api.ES2022, MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		})
		if err := problems(result.Errors); err != nil {
			return err
		}
		packed, err := compress(result.Code)
		if err != nil {
			return err
		}
		if len(packed) > maxElement {
			all = errors.Join(all, fmt.Errorf("%s is %d bytes compressed, at most %d", filepath.Base(file), len(packed), maxElement))
		}
	}
	return all
}

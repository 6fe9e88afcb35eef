// Package web holds what browsers load: style sheet, icons, and the scripts as
// bundled from web/src.
package web

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed static all:dist
var files embed.FS

// Assets returns what browsers may load, in two folders: static has the files of
// the repository, dist what "make assets" made. The names in dist change with
// what is in the files, so that they can be kept for ever; beside a file F may lie
// F.gz, the same compressed. Where Distro was built without npm, dist holds
// nothing but .gitkeep: pages work without scripts.
func Assets() fs.FS { return files }

// Manifest returns the names of files in dist by their plain names: "app.js" is
// the module script of every page. It is empty where there are no scripts.
func Manifest() (map[string]string, error) {
	text, err := files.ReadFile("dist/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("read manifest of scripts: %w", err)
	}
	var names map[string]string
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, fmt.Errorf("read manifest of scripts: %w", err)
	}
	return names, nil
}

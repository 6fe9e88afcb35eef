// Package web holds what browsers load: the style, the icons, and the scripts
// where they were built.
package web

import (
	"embed"
	"io/fs"
)

//go:embed static
var files embed.FS

// Assets are the files.
func Assets() fs.FS {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the name is a constant
	}
	return static
}

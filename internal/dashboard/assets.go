package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

// assets are the files that pages name, each under a name that holds a hash of
// what is in it, so that browsers keep it for good.
type assets struct {
	files map[string]asset  // by the name in addresses
	names map[string]string // to that name, by the plain one
	icons template.HTML     // symbols that pages refer to
}

type asset struct {
	data, packed []byte // packed by gzip; nil: it gets no smaller
	kind         string // content type
}

const (
	styleFile = "style.css"
	iconsFile = "icons.svg"
	bundled   = "dist" // folder of what was bundled
)

// readAssets reads all files. Those in the folder of what was bundled have their
// hash in their names already, as they name each other; the manifest tells these
// names. Without it there are no scripts.
func readAssets(from fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}, names: map[string]string{}}
	manifest, err := fs.ReadFile(from, bundled+"/manifest.json")
	if err == nil {
		err = json.Unmarshal(manifest, &a.names)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the manifest of the scripts: %w", err)
	}
	err = fs.WalkDir(from, ".", func(file string, d fs.DirEntry, err error) error {
		name := path.Base(file)
		skipped := name == "manifest.json" || path.Ext(name) == ".gz" || strings.HasPrefix(name, ".")
		if err != nil || d.IsDir() || skipped {
			return err
		}
		data, err := fs.ReadFile(from, file)
		if err != nil {
			return err
		}
		if path.Dir(file) != bundled {
			sum := sha256.Sum256(data)
			ext := path.Ext(name)
			hashed := strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:5]) + ext
			a.names[name], name = hashed, hashed
		}
		packed, err := fs.ReadFile(from, file+".gz")
		if errors.Is(err, fs.ErrNotExist) {
			packed, err = pack(data), nil
		}
		a.files[name] = asset{data, packed, mime.TypeByExtension(path.Ext(name))}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	icons, ok := a.files[a.names[iconsFile]]
	if _, styled := a.names[styleFile]; !ok || !styled {
		return nil, fmt.Errorf("read assets: %s or %s is missing", styleFile, iconsFile)
	}
	a.icons = template.HTML(icons.data) //nolint:gosec // G203: it is a file of the binary
	return a, nil
}

// pack packs by gzip what gets smaller by it.
func pack(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one there is
	_, _ = w.Write(data)                                  // to memory
	_ = w.Close()
	if b.Len() < len(data) {
		return b.Bytes()
	}
	return nil
}

// address is where a browser finds a file; empty: it was not built.
func (a *assets) address(name string) string {
	if served, ok := a.names[name]; ok {
		return "/assets/" + served
	}
	return ""
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Vary", "Accept-Encoding")
	data := f.data
	if f.packed != nil && takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		data = f.packed
	}
	_, _ = w.Write(data)
}

func takesGzip(r *http.Request) bool {
	return slices.ContainsFunc(strings.Split(r.Header.Get("Accept-Encoding"), ","), func(part string) bool {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		return name == "gzip" && strings.TrimSpace(quality) != "q=0"
	})
}

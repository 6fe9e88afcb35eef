package artifact

import (
	"bytes"
	"io"
	"path"
	"strings"
)

// plainType is the type of everything that is no picture: nothing else of a job
// is to mean anything to a browser.
const plainType = "application/octet-stream"

// describe sets the type by the file's name and its first bytes.
func (f *File) describe(content io.ReaderAt) {
	var begin [12]byte
	n, _ := content.ReadAt(begin[:], 0) // what cannot be read is no picture
	f.Type = typeOf(f.Name, begin[:n])
	f.Image = f.Type != plainType
}

// typeOf is the type of a picture whose first bytes are what its name promises.
// With no bytes it is what the name promises.
func typeOf(name string, begin []byte) string {
	promised, agrees := plainType, false
	starts := func(texts ...string) {
		for _, text := range texts {
			agrees = agrees || bytes.HasPrefix(begin, []byte(text))
		}
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".png":
		promised = "image/png"
		starts("\x89PNG\r\n\x1a\n")
	case ".jpg", ".jpeg":
		promised = "image/jpeg"
		starts("\xff\xd8\xff")
	case ".gif":
		promised = "image/gif"
		starts("GIF87a", "GIF89a")
	case ".webp":
		promised = "image/webp"
		agrees = len(begin) == 12 && string(begin[:4]) == "RIFF" && string(begin[8:]) == "WEBP"
	}
	if begin != nil && !agrees {
		return plainType
	}
	return promised
}

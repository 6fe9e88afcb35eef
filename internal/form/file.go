package form

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/distro-orchestrator/distro/internal/signature"
)

// Beside the controls of answers there are, of fields that take files:
const (
	// FileMark begins the name of the control that sends one; its path follows.
	FileMark = "file:"

	refMark  = "ref:"  // the ID of one that an earlier post of the form sent, and that is kept
	lostMark = "lost:" // the name of one that is not kept
)

// neverSent reports whether a name is none that the text of a form has.
func neverSent(name string) bool {
	return strings.HasPrefix(name, lostMark) || strings.HasPrefix(name, FileMark)
}

// MaxFiles is how many files a form takes.
const MaxFiles = 100

// File stands for the value of a field.
type File struct {
	name  string
	size  int64
	ref   string // of one that is kept for its path; empty: its content is the value
	value []byte // as JSON
}

// KeptFile is a file whose path is the value. The form that is sent next names it
// by ref.
func KeptFile(name string, size int64, ref, path string) File {
	return File{name: name, size: size, ref: ref, value: encode(path)}
}

// ReadFile is a file whose content is the value. It has at most so many bytes:
// what has more does not fit, and is not read to its end.
func ReadFile(name string, content io.Reader, most int64) (file File, fits bool, err error) {
	var value bytes.Buffer
	value.WriteString(`"data:;base64,`)
	encoder := base64.NewEncoder(base64.StdEncoding, &value)
	n, err := io.Copy(encoder, io.LimitReader(content, most+1))
	if err != nil {
		return File{}, false, fmt.Errorf("read a file of a form: %w", err)
	}
	if n > most {
		return File{}, false, nil
	}
	_ = encoder.Close() // memory takes it
	value.WriteByte('"')
	return File{name: name, size: n, value: value.Bytes()}, true, nil
}

// Size is how many bytes it has.
func (f File) Size() int64 { return f.size }

// Upload is what a file becomes that is given for the field at a path, as a format
// of package signature: FormatPath or FormatBytes; empty: none may be given.
func (fm *Form) Upload(path string) string {
	if f := fm.find(path); f != nil {
		return f.upload
	}
	return ""
}

// Takes reports whether a file may be given for one of the fields that becomes
// what a format says, as Upload does; empty: whatever.
func (fm *Form) Takes(format string) bool { return takes(fm.fields, format) }

func takes(fields []field, format string) bool {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.upload != "" && (format == "" || f.upload == format),
			takes(f.fields, format),
			f.control == controlRows && takes([]field{*f.element}, format):
			return true
		}
	}
	return false
}

// Free reports whether a file may be given for the field at a path: there is none
// yet, and there are not too many.
func (a *Answers) Free(path string) bool {
	_, given := a.files[path]
	return !given && len(a.files) < MaxFiles
}

// Give gives a file for the field at a path, which takes one and is free.
func (a *Answers) Give(path string, file File) { a.files[path] = file }

// References takes out the IDs of files that earlier posts of the form sent, by
// the paths of fields that take one. They may be made up.
func (a *Answers) References() map[string]string {
	found := map[string]string{}
	for name, list := range a.values {
		path, isRef := strings.CutPrefix(name, refMark)
		if !isRef {
			continue
		}
		delete(a.values, name)
		if a.form.Upload(path) == signature.FormatPath {
			found[path] = list[len(list)-1]
		}
	}
	return found
}

// Hold readies a form that is shown again: of the files, whose choice no browser
// keeps, some are kept, and of the others it says what they were.
func (a *Answers) Hold() {
	for path, file := range a.files {
		if file.ref != "" {
			a.values.Set(refMark+path, file.ref)
			continue
		}
		a.values.Set(lostMark+path, file.name)
		delete(a.files, path)
	}
}

// viewFile shows how a file is given for a field.
func (a *Answers) viewFile(v *FieldView, f *field) {
	if v.File = f.upload != ""; !v.File {
		return
	}
	v.Lost = a.values.Get(lostMark + f.path)
	if file, ok := a.files[f.path]; ok {
		v.Ref, v.Kept = file.ref, file.name+" ("+a.reader.Bytes(file.size)+")"
	}
}

// fileHints say what comes of a file.
func (a *Answers) fileHints(f *field) []string {
	switch f.upload {
	case "":
		return nil
	case signature.FormatBytes:
		return []string{a.reader.Text("form.hint.octets", a.reader.Bytes(a.form.opts.Contents))}
	}
	list := []string{a.reader.Text("form.hint.kept", a.reader.Bytes(a.form.opts.Kept))}
	if len(a.elsewhere) > 0 {
		list = append(list, a.reader.Text("form.hint.elsewhere", strings.Join(a.elsewhere, ", ")))
	}
	return list
}

package dashboard

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// Beside the controls of answers there are, of fields that take files:
const (
	fileMark = "file:" // the control that sends one
	refMark  = "ref:"  // the ID of one that an earlier post of the form sent, and that is kept
	lostMark = "lost:" // the name of one that is not kept; never taken from a post
)

// Bounds of what a form with files sends.
const (
	maxParts  = 20_000
	maxFiles  = 100
	discarded = 1 << 30 // bytes too many that are read and thrown away, so that the refusal arrives
)

// Times of a body that may be long.
const (
	bodyPause = time.Minute // without a byte
	bodyTime  = time.Hour
	replyTime = 2 * time.Minute
)

// filed is a file that stands for the value of a field.
type filed struct {
	name  string
	size  int64
	ref   string // of one that is kept for its path; empty: its content is the value
	value []byte // as JSON
}

// room is how many bytes the files of a form may have together.
type room struct {
	paths  int64 // of those that are kept
	octets int64 // of those whose content is an argument
}

func (s *Server) room() room {
	// What is no text is written in base64, behind a few words.
	return room{paths: s.opts.Service.MaxUpload(), octets: int64(max(s.opts.Service.MaxArguments()-1<<8, 0) / 4 * 3)}
}

func (m room) of(format string) int64 {
	if format == formatPath {
		return m.paths
	}
	return m.octets
}

// formOf makes the form of a function, which takes files where there is a place
// for them.
func (s *Server) formOf(t *target) (*form, error) {
	return newForm(&t.module, t.function, s.opts.Service.MaxUpload() > 0)
}

// takes reports whether a file may be given for one of the fields; it would
// become what the format says, empty: whatever.
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

// receive reads what a form sent, with its files. Nothing of it is read before
// it is known who sends it and what the function takes.
func (s *Server) receive(r *request, fm *form) (*answers, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		if err := r.readForm(); err != nil {
			return nil, err
		}
		a := newAnswers(r.PostForm, r.zone, r.decimal)
		a.disbelieve()
		return a, s.refer(r, fm, a)
	}
	r.PostForm = url.Values{}
	in := &intake{server: s, request: r, form: fm, answers: newAnswers(r.PostForm, r.zone, r.decimal), left: s.room()}
	in.text = maxForm + s.opts.Service.MaxArguments() // arguments of an earlier job may stand in the form
	most := int64(in.text) + in.left.paths + in.left.octets + discarded
	control := http.NewResponseController(r.w)
	r.Body = http.MaxBytesReader(r.w, patient{r.Body, control, time.Now().Add(bodyTime)}, most)
	defer func() { _ = control.SetWriteDeadline(time.Now().Add(replyTime)) }() // what cannot do that has no deadline
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, unreadable(err)
	}
	if err := in.read(parts); err != nil {
		return nil, err
	}
	in.answers.disbelieve()
	return in.answers, s.refer(r, fm, in.answers)
}

// disbelieve drops what no browser sends of our forms.
func (a *answers) disbelieve() {
	for name := range a.values {
		if strings.HasPrefix(name, lostMark) || strings.HasPrefix(name, fileMark) {
			delete(a.values, name)
		}
	}
}

// unreadable is the refusal of a form that did not arrive as one.
func unreadable(err error) error {
	if long, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return distro.Errorf(distro.CodeInvalid, "the form is larger than %d bytes", long.Limit)
	}
	return &distro.Error{Code: distro.CodeInvalid, Message: "the form cannot be read", Err: err}
}

// patient is a body that may take its time, as long as it keeps coming.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	end     time.Time
}

func (p patient) Read(b []byte) (int, error) {
	next := time.Now().Add(bodyPause)
	if next.After(p.end) {
		next = p.end
	}
	_ = p.control.SetReadDeadline(next) // what cannot do that has no deadline
	return p.ReadCloser.Read(b)
}

// intake reads the parts of a form as they come.
type intake struct {
	server  *Server
	request *request
	form    *form
	answers *answers
	left    room
	text    int // bytes of what is no file
}

func (in *intake) read(parts *multipart.Reader) error {
	for n := range maxParts {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // a form that is cut returns an error that wraps it
			if n == 0 {
				return unreadable(err) // its parts are not divided as its head says
			}
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		path, file := strings.CutPrefix(part.FormName(), fileMark)
		if !file {
			err = in.takeText(part.FormName(), part)
		} else if f := in.form.find(path); f != nil && f.upload != "" && part.FileName() != "" {
			err = in.takeFile(f, part)
		}
		if err != nil {
			return err
		}
	}
	return distro.Errorf(distro.CodeInvalid, "the form has more than %d parts", maxParts)
}

func (in *intake) takeText(name string, content io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(content, int64(in.text)+1))
	if err != nil {
		return unreadable(err)
	}
	if in.text -= len(name) + len(text); in.text < 0 {
		return distro.Errorf(distro.CodeInvalid, "the form is too large without its files")
	}
	in.answers.values.Add(name, string(text))
	return nil
}

// takeFile takes the file of a field. What is too much of it is not read here:
// the next part begins behind it.
func (in *intake) takeFile(f *field, part *multipart.Part) error {
	a := in.answers
	if _, twice := a.files[f.path]; twice || len(a.files) == maxFiles {
		a.refuse(f.path, wrong("files", maxFiles))
		return nil
	}
	if f.upload == formatBytes {
		return in.takeOctets(f, part)
	}
	key := a.values.Get(optionID)
	if key != "" {
		key = fmt.Sprintf("%q %q", key, f.path)
	}
	kept, err := in.server.opts.Service.Upload(in.request.Context(), part.FileName(), key, part, in.left.paths)
	if e, ok := errors.AsType[*distro.Error](err); ok && e.Field == "file" {
		a.refuse(f.path, wrong("kept", in.request.bytes(in.server.room().paths)))
		return nil
	}
	if err != nil {
		return err
	}
	in.left.paths -= kept.Size
	a.files[f.path] = filed{kept.Name, kept.Size, kept.ID, encode(kept.Path)}
	return nil
}

// takeOctets takes a file whose content is the value.
func (in *intake) takeOctets(f *field, part *multipart.Part) error {
	var value bytes.Buffer
	value.WriteString(`"data:;base64,`)
	encoder := base64.NewEncoder(base64.StdEncoding, &value)
	n, err := io.Copy(encoder, io.LimitReader(part, in.left.octets+1))
	if err != nil {
		return unreadable(err)
	}
	if n > in.left.octets {
		in.answers.refuse(f.path, wrong("octets", in.request.bytes(in.server.room().octets)))
		return nil
	}
	_ = encoder.Close() // memory takes it
	value.WriteByte('"')
	in.left.octets -= n
	in.answers.files[f.path] = filed{name: part.FileName(), size: n, value: value.Bytes()}
	return nil
}

// refer looks up the files that earlier posts of a form sent. The IDs that come
// with it name nothing else; one whose file is gone is noted at its field.
func (s *Server) refer(r *request, fm *form, a *answers) error {
	for name, list := range a.values {
		path, isRef := strings.CutPrefix(name, refMark)
		if !isRef {
			continue
		}
		delete(a.values, name)
		f := fm.find(path)
		if _, newer := a.files[path]; newer || f == nil || f.upload != formatPath || len(a.files) == maxFiles {
			continue
		}
		kept, err := s.opts.Service.FindUpload(r.Context(), list[len(list)-1])
		switch {
		case distro.ErrorCode(err) == distro.CodeNotFound:
			a.refuse(path, wrong("gone"))
		case err != nil:
			return err
		default:
			a.files[path] = filed{kept.Name, kept.Size, kept.ID, encode(kept.Path)}
		}
	}
	return nil
}

// hold readies a form that is shown again: of the files, whose choice no browser
// keeps, some are kept here, and of the others it says what they were.
func (a *answers) hold() {
	for path, file := range a.files {
		if file.ref != "" {
			a.values.Set(refMark+path, file.ref)
			continue
		}
		a.values.Set(lostMark+path, file.name)
		delete(a.files, path)
	}
}

// elsewhere are the other machines that have workers, which cannot read what is
// kept here.
func (s *Server) elsewhere(r *request) []string {
	workers, err := s.opts.Service.Workers(r.Context())
	if err != nil || s.opts.Host == "" {
		return nil // a queue that cannot be reached is told of where the job is made
	}
	var hosts []string
	for i := range workers {
		w := &workers[i]
		if w.Host != "" && w.Host != s.opts.Host && r.lately(w.SeenAt, silentFor) {
			hosts = append(hosts, w.Host)
		}
	}
	return hosts
}

// viewFile shows how a file is given for a field.
func (r *reader) viewFile(v *fieldView, f *field, a *answers) {
	if v.File = f.upload != ""; !v.File {
		return
	}
	v.Lost = cut(a.values.Get(lostMark+f.path), maxShownName)
	if file, ok := a.files[f.path]; ok {
		v.Ref, v.Kept = file.ref, file.name+" ("+r.bytes(file.size)+")"
	}
}

const maxShownName = 120 // characters of the name of a file

// fileHints say what comes of a file.
func (r *reader) fileHints(f *field, a *answers) []string {
	if f.upload == "" {
		return nil
	}
	most := r.bytes(a.room.of(f.upload))
	if f.upload == formatBytes {
		return []string{r.T("form.hint.octets", most)}
	}
	list := []string{r.T("form.hint.kept", most)}
	if len(a.elsewhere) > 0 {
		list = append(list, r.T("form.hint.elsewhere", strings.Join(a.elsewhere, ", ")))
	}
	return list
}

package dashboard

import (
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
	"github.com/distro-orchestrator/distro/internal/form"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/signature"
)

// Bounds of what a form with files sends.
const (
	maxParts  = 20_000
	discarded = 1 << 30 // bytes too many that are read and thrown away, so that the refusal arrives
)

// Times of a body that may be long.
const (
	bodyPause = time.Minute // without a byte
	bodyTime  = time.Hour
	replyTime = 2 * time.Minute
)

// room is how many bytes the files of a form may have together.
type room struct {
	kept     int64
	contents int64
}

func (s *Server) room() room {
	// What is no text is written in base64, behind a few words.
	return room{kept: s.opts.Service.MaxUpload(), contents: int64(max(s.opts.Service.MaxArguments()-1<<8, 0) / 4 * 3)}
}

// formOf makes the form of a function, which takes files where there is a place
// for them.
func (s *Server) formOf(t *target) (*form.Form, error) {
	most := s.room()
	return form.New(&t.module, t.function, form.Options{
		Depth: service.MaxDepth, Kept: most.kept, Contents: most.contents,
		Queues: s.opts.Service.QueueNames(), Queue: s.opts.Service.DefaultQueue(), Delay: service.MaxDelay, Retries: service.MaxRetries,
	})
}

// form is r as forms know it.
func (r *reader) form() form.Reader {
	return form.Reader{Zone: r.zone, Decimal: r.decimal, Text: r.T, Bytes: r.bytes}
}

// receive reads what a form sent, with its files. Nothing of it is read before
// it is known who sends it and what the function takes.
func (s *Server) receive(r *request, fm *form.Form) (*form.Answers, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		if err := r.readForm(); err != nil {
			return nil, err
		}
		a := fm.Answers(r.PostForm, r.form())
		return a, s.refer(r, a)
	}
	r.PostForm = url.Values{}
	in := &intake{server: s, request: r, form: fm, answers: fm.Answers(r.PostForm, r.form()), left: s.room()}
	in.text = maxForm + s.opts.Service.MaxArguments() // arguments of an earlier job may stand in the form
	most := int64(in.text) + in.left.kept + in.left.contents + discarded
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
	return in.answers, s.refer(r, in.answers)
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
	form    *form.Form
	answers *form.Answers
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
		path, file := strings.CutPrefix(part.FormName(), form.FileMark)
		if !file {
			err = in.takeText(part.FormName(), part)
		} else if format := in.form.Upload(path); format != "" && part.FileName() != "" {
			err = in.takeFile(path, format, part)
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
	in.answers.Add(name, string(text))
	return nil
}

// takeFile takes the file of the field at a path, which becomes what the format
// says. What is too much of it is not read here: the next part begins behind it.
func (in *intake) takeFile(path, format string, part *multipart.Part) error {
	a := in.answers
	if !a.Free(path) {
		a.Refuse(path, "files", form.MaxFiles)
		return nil
	}
	if format == signature.FormatBytes {
		return in.takeContent(path, part)
	}
	key := a.Get(optionID)
	if key != "" {
		key = fmt.Sprintf("%q %q", key, path)
	}
	kept, err := in.server.opts.Service.Upload(in.request.Context(), part.FileName(), key, part, in.left.kept)
	if e, ok := errors.AsType[*distro.Error](err); ok && e.Field == "file" {
		a.Refuse(path, "kept", in.request.bytes(in.server.room().kept))
		return nil
	}
	if err != nil {
		return err
	}
	in.left.kept -= kept.Size
	a.Give(path, form.KeptFile(kept.Name, kept.Size, kept.ID, kept.Path))
	return nil
}

// takeContent takes a file whose content is the value.
func (in *intake) takeContent(path string, part *multipart.Part) error {
	file, fits, err := form.ReadFile(cut(part.FileName(), maxShownName), part, in.left.contents)
	if err != nil {
		return unreadable(err)
	}
	if !fits {
		in.answers.Refuse(path, "octets", in.request.bytes(in.server.room().contents))
		return nil
	}
	in.left.contents -= file.Size()
	in.answers.Give(path, file)
	return nil
}

const maxShownName = 120 // characters of the name of a file

// refer looks up the files that earlier posts of a form sent. The IDs that come
// with it name nothing else; one whose file is gone is noted at its field.
func (s *Server) refer(r *request, a *form.Answers) error {
	for path, id := range a.References() {
		if !a.Free(path) {
			continue // a newer one came
		}
		kept, err := s.opts.Service.FindUpload(r.Context(), id)
		switch {
		case distro.ErrorCode(err) == distro.CodeNotFound:
			a.Refuse(path, "gone")
		case err != nil:
			return err
		default:
			a.Give(path, form.KeptFile(kept.Name, kept.Size, kept.ID, kept.Path))
		}
	}
	return nil
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

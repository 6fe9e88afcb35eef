package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/service"
	"github.com/distro-orchestrator/distro/internal/service/jsonscan"
)

// bodyDepth leaves room around arguments of the full depth.
const bodyDepth = service.MaxDepth + 3

// readObject returns the body of a request, which must be one JSON object.
// Its Content-Type is not looked at: the original's clients were often written
// without one, and a browser that sends one across origins was refused before.
func (s *Server) readObject(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, refused := s.readBody(w, r)
	if refused != nil {
		return nil, refused
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, bodyProblem("a JSON object is expected, and the body is empty")
	}
	return checkObject(body)
}

// readOptionalObject is readObject for a body that may be empty: then it returns
// an empty object.
func (s *Server) readOptionalObject(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, refused := s.readBody(w, r)
	if refused != nil {
		return nil, refused
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return []byte("{}"), nil
	}
	return checkObject(body)
}

func checkObject(body []byte) ([]byte, error) {
	if err := jsonscan.Check(body, bodyDepth); err != nil {
		return nil, bodyProblem("no acceptable JSON: " + err.Error())
	}
	if kind := jsonscan.KindOf(body); kind != jsonscan.Object {
		return nil, bodyProblem(fmt.Sprintf("must be an object, not %s", kind))
	}
	return body, nil
}

// readBody returns the body of a request, of a bounded size.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *Problem) {
	if r.ContentLength > s.opts.MaxBody {
		return nil, s.tooLarge(w, r)
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), 64<<10)) + bytes.MinRead)
	if _, err := body.ReadFrom(io.LimitReader(r.Body, s.opts.MaxBody+1)); err != nil {
		return nil, bodyProblem("the body ended early")
	}
	if int64(body.Len()) > s.opts.MaxBody {
		return nil, s.tooLarge(w, r)
	}
	return body.Bytes(), nil
}

// Bounds of what is read of a body that is refused for its size.
const (
	maxDrain  = 256 << 20
	drainTime = 10 * time.Second
)

// tooLarge refuses a body for its size. It reads the rest first: most clients
// write all of a body before they read, and would see nothing but a broken
// connection. One that asks before it writes is answered at once.
func (s *Server) tooLarge(w http.ResponseWriter, r *http.Request) *Problem {
	whole := false
	if r.Header.Get("Expect") == "" && r.ContentLength <= maxDrain {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)) // where the writer has deadlines
		n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain))
		whole = err == nil && n < maxDrain
	}
	if !whole {
		w.Header().Set("Connection", "close")
	}
	p := newProblem(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes", s.opts.MaxBody))
	p.Field = "body"
	p.Errors = []ProblemError{{Message: p.Detail, Location: "body"}}
	return p
}

// bodyProblem refuses a body as a whole.
func bodyProblem(message string) *Problem {
	p := newProblem(http.StatusBadRequest, distro.CodeInvalid, "body: "+message)
	p.Field = "body"
	p.Errors = []ProblemError{{Message: message, Location: "body"}}
	return p
}

// fields collects what is wrong with the fields of an object, up to
// maxProblemErrors.
type fields struct {
	errs  []error
	ended bool // members were left unread: what seems to be missing may stand there
}

func (f *fields) refuse(name, format string, args ...any) {
	f.add(distro.Invalid(name, format, args...))
}

func (f *fields) add(err error) {
	if !f.full() {
		f.errs = append(f.errs, err)
	}
}

// full reports whether no more can be refused, so that looking on is useless.
func (f *fields) full() bool { return len(f.errs) >= maxProblemErrors }

// maxUnknown is how many members an object may have beyond the known ones.
const maxUnknown = 100

// members yields the members of an object that knows so many, and stops where
// an object is wrong beyond telling.
func (f *fields) members(object []byte, known int) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		n := 0
		for name, value := range jsonscan.Members(object) {
			if n++; n > known+maxUnknown {
				f.ended = true
				f.refuse("", "an object of more than %d members is not accepted here", known+maxUnknown)
				return
			}
			if f.full() {
				f.ended = true
				return
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

func (f *fields) want(name string, value []byte, want jsonscan.Kind) bool {
	kind := jsonscan.KindOf(value)
	if kind != want {
		f.refuse(name, "must be %s, not %s", want, kind)
	}
	return kind == want
}

// text takes a string that is not empty.
func (f *fields) text(name string, value []byte) string {
	if !f.want(name, value, jsonscan.String) {
		return ""
	}
	text := jsonscan.Text(value)
	if text == "" {
		f.refuse(name, "must not be empty")
	}
	return text
}

// integer takes an integer of low to high.
func (f *fields) integer(name string, value []byte, low, high int64) int64 {
	if !f.want(name, value, jsonscan.Number) {
		return 0
	}
	n, ok := jsonscan.Int(value)
	switch {
	case !ok && bytes.ContainsAny(value, ".eE"):
		f.refuse(name, "must be an integer")
	case !ok && value[0] != '-', n > high:
		f.refuse(name, "must be at most %d", high)
	case !ok, n < low && low == 0:
		f.refuse(name, "must not be negative")
	case n < low:
		f.refuse(name, "must be at least %d", low)
	default:
		return n
	}
	return 0
}

// seconds takes a time as an integer of seconds or as text like 90s; "none"
// sets no limit.
func (f *fields) seconds(name string, value []byte) time.Duration {
	switch jsonscan.KindOf(value) {
	case jsonscan.Number:
		return time.Duration(f.integer(name, value, 1, int64(service.MaxTimeout/time.Second))) * time.Second
	case jsonscan.String:
		return f.duration(name, value)
	}
	f.refuse(name, "must be a number of seconds or a time like 90s")
	return 0
}

// duration takes a time like 2h10m20s, or "none" for no limit.
func (f *fields) duration(name string, value []byte) time.Duration {
	text := f.text(name, value)
	if text == "" {
		return 0
	}
	if text == "none" && name == "timeout" {
		return distro.Forever
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		f.refuse(name, "%.40q is not a time like 2h10m20s", text)
	case d < 0:
		f.refuse(name, "must not be negative")
	case d < time.Second && name == "timeout":
		f.refuse(name, "must be at least 1 second")
	}
	return d
}

// err joins what was refused; nil when nothing was.
func (f *fields) err() error { return errors.Join(f.errs...) }

// refused reports whether a field was refused already.
func (f *fields) refused(name string) bool {
	return slices.ContainsFunc(f.errs, func(err error) bool {
		e, ok := err.(*distro.Error)
		return ok && e.Field == name
	})
}

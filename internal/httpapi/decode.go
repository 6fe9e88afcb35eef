package httpapi

import (
	"bytes"
	"errors"
	"fmt"
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
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("the body is larger than %d bytes", s.opts.MaxBody))
	tooLarge.Errors = []ProblemError{{Message: tooLarge.Detail, Location: "body"}}
	if r.ContentLength > s.opts.MaxBody {
		w.Header().Set("Connection", "close") // rather than reading it all
		return nil, tooLarge
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), 64<<10)) + bytes.MinRead)
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, s.opts.MaxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		return nil, bodyProblem("the body ended early")
	}
	if len(bytes.TrimSpace(body.Bytes())) == 0 {
		return nil, bodyProblem("a JSON object is expected, and the body is empty")
	}
	if err := jsonscan.Check(body.Bytes(), bodyDepth); err != nil {
		return nil, bodyProblem("no acceptable JSON: " + err.Error())
	}
	if kind := jsonscan.KindOf(body.Bytes()); kind != jsonscan.Object {
		return nil, bodyProblem(fmt.Sprintf("must be an object, not %s", kind))
	}
	return body.Bytes(), nil
}

// bodyProblem refuses a body as a whole.
func bodyProblem(message string) *Problem {
	p := newProblem(http.StatusBadRequest, distro.CodeInvalid, "body: "+message)
	p.Field = "body"
	p.Errors = []ProblemError{{Message: message, Location: "body"}}
	return p
}

// fields collects what is wrong with the fields of an object.
type fields struct {
	errs []error
}

func (f *fields) refuse(name, format string, args ...any) {
	f.errs = append(f.errs, distro.Invalid(name, format, args...))
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
	if jsonscan.KindOf(value) == jsonscan.Number {
		return time.Duration(f.integer(name, value, 1, int64(service.MaxTimeout/time.Second))) * time.Second
	}
	return f.duration(name, value)
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

package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
)

// GetStatus lets an operation of huma return a Problem as its error.
func (p *Problem) GetStatus() int { return p.Status }

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// ContentType is that of RFC 9457, whatever was negotiated.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func newProblem(status int, code distro.Code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: string(code)}
}

// problem describes err for the client. part is where its fields stand: body,
// query or path. What is no *distro.Error is told to the log only.
func (s *Server) problem(ctx context.Context, err error, part string) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	e, ok := errors.AsType[*distro.Error](err)
	if !ok || e.Code == distro.CodeInternal {
		if ctx.Err() == nil {
			s.opts.Logger.ErrorContext(ctx, "request ended with an internal error", "error", err)
		}
		return newProblem(http.StatusInternalServerError, distro.CodeInternal, "internal error; the log of the server says more")
	}
	if e.Err != nil && e.Code.HTTPStatus() >= http.StatusInternalServerError && ctx.Err() == nil {
		s.opts.Logger.WarnContext(ctx, "request could not be served", "code", string(e.Code), "error", err)
	}
	p := newProblem(e.Code.HTTPStatus(), e.Code, e.Message)
	p.Field = e.Field
	if p.Field == "" && part == "body" && e.Code == distro.CodeInvalid {
		p.Field = part // as a whole
	}
	if p.Field != "" {
		p.Detail = p.Field + ": " + e.Message
	}
	p.Errors = problemErrors(err, part, p.Field == part)
	return p
}

// problemErrors lists what is wrong by its place; what is wrong with the part
// as a whole is listed too when whole is set.
func problemErrors(err error, part string, whole bool) []ProblemError {
	var list []ProblemError
	for each := range flatten(err) {
		switch {
		case len(list) == maxProblemErrors:
			return list
		case each.Field != "":
			list = append(list, ProblemError{Message: each.Message, Location: part + "." + each.Field})
		case whole:
			list = append(list, ProblemError{Message: each.Message, Location: part})
		}
	}
	return list
}

// maxProblemErrors bounds the answer to a request that is wrong all over.
const maxProblemErrors = 50

// flatten yields the errors that errors.Join put together.
func flatten(err error) iter.Seq[*distro.Error] {
	return func(yield func(*distro.Error) bool) { flattenTo(err, yield) }
}

func flattenTo(err error, yield func(*distro.Error) bool) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			if !flattenTo(each, yield) {
				return false
			}
		}
		return true
	}
	e, ok := errors.AsType[*distro.Error](err)
	return !ok || yield(e)
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	writeJSON(w, problemType, p.Status, p)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		// Only a raw JSON text that is none could do this, and these are
		// checked where they are made.
		panic(fmt.Errorf("encode answer: %w", err))
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have gone
}

// asProblem is a transformer of huma: it gives the errors that huma finds by
// itself the form that all others have. Replacing huma.NewError would do the
// same to every API of the process, as it is a variable of the package.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := distro.CodeInvalid
	if m.Status >= http.StatusInternalServerError {
		code = distro.CodeInternal
	}
	p := newProblem(m.Status, code, m.Detail)
	for _, e := range m.Errors {
		if e != nil && len(p.Errors) < maxProblemErrors {
			p.Errors = append(p.Errors, ProblemError{Message: e.Message, Location: e.Location})
		}
	}
	if len(p.Errors) > 0 {
		part, field, inside := strings.Cut(p.Errors[0].Location, ".")
		if p.Field = field; !inside {
			p.Field = part // as a whole
		}
		p.Detail = p.Field + ": " + p.Errors[0].Message
	}
	return p, nil
}

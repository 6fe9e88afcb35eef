package distro

import (
	"errors"
	"fmt"
)

// Code classifies an Error for programs. It maps to an HTTP status here, as no
// edge sees another, and to an exit status in cmd.
type Code string

// The codes.
const (
	CodeInvalid     Code = "invalid"     // the request does not fit; Field names where
	CodeNotFound    Code = "not_found"   // the thing named is not there
	CodeConflict    Code = "conflict"    // it is there, and in the wrong state
	CodeForbidden   Code = "forbidden"   // understood, and refused
	CodeUnavailable Code = "unavailable" // try again later
	CodeFull        Code = "full"        // no room to store it
	CodeInternal    Code = "internal"    // a bug; the message is not for users
)

// HTTPStatus is the status of answers whose error has the code.
func (c Code) HTTPStatus() int {
	switch c {
	case CodeInvalid:
		return 422
	case CodeNotFound:
		return 404
	case CodeConflict:
		return 409
	case CodeForbidden:
		return 403
	case CodeUnavailable:
		return 503
	case CodeFull:
		return 507
	default:
		return 500
	}
}

// Error is an error whose Message may be shown to people.
type Error struct {
	Code    Code
	Field   string // of the request, in its own notation ("kwargs.month"); may be empty
	Message string
	Err     error // cause, for the log
}

// Error joins message and cause.
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a field.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid makes an Error of CodeInvalid that names a field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: CodeInvalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

// ErrorCode is the code of the first Error in err's chain, CodeInternal when
// there is none, and "" when err is nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

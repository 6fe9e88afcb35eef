package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// captured holds an answer back until it is whole.
type captured struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (c *captured) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *captured) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(p)
}

// Unwrap serves http.ResponseController.
func (c *captured) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// send sends the answer on.
func (c *captured) send() {
	c.ResponseWriter.WriteHeader(c.status)
	_, _ = c.ResponseWriter.Write(c.body.Bytes()) // the client may have gone
}

// capture runs a handler and holds its answer back.
func capture(handler http.HandlerFunc, w http.ResponseWriter, r *http.Request) *captured {
	c := &captured{ResponseWriter: w}
	handler(c, r)
	c.WriteHeader(http.StatusOK)
	return c
}

// tagged gives answers an ETag (RFC 9110, 8.8.3), so that a client that asks
// again is told with few bytes that nothing is different.
func tagged(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := capture(handler, w, r)
		if c.status == http.StatusOK {
			sum := sha256.Sum256(c.body.Bytes())
			tag := `"` + hex.EncodeToString(sum[:12]) + `"`
			w.Header().Set("ETag", tag)
			if matches(r.Header.Values("If-None-Match"), tag) {
				w.Header().Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		c.send()
	}
}

// matches reports whether a list of tags names tag.
func matches(lists []string, tag string) bool {
	for _, list := range lists {
		for each := range strings.SplitSeq(list, ",") {
			each = strings.TrimPrefix(strings.TrimSpace(each), "W/")
			if each == tag || each == "*" {
				return true
			}
		}
	}
	return false
}

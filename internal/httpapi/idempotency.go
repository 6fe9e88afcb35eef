package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/distro-orchestrator/distro"
)

// idempotencyKey is the header of draft-ietf-httpapi-idempotency-key-header: a
// request that is sent again with the same key is carried out once.
const idempotencyKey = "Idempotency-Key"

const (
	maxKey      = 255
	keepAnswers = 24 * time.Hour
	maxAnswer   = 1 << 20 // bytes of an answer that is kept
)

// answer is what is kept of an answer.
type answer struct {
	Status   int    `json:"status"`
	Type     string `json:"type,omitempty"`
	Location string `json:"location,omitempty"`
	Body     []byte `json:"body"`
}

// once carries out a request with an idempotency key unless that was done: then
// the first answer is given again, for a day. Where nothing can be remembered,
// requests that create jobs are carried out all the same: the IDs of their jobs
// come of the key, so that the queue knows them again.
func (s *Server) once(handler http.HandlerFunc, creates bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get(idempotencyKey)
		if key == "" {
			handler(w, r)
			return
		}
		fingerprint, refused := s.fingerprint(w, r, key)
		if refused != nil {
			writeProblem(w, refused)
			return
		}
		if _, busy := s.busy.LoadOrStore(key, struct{}{}); busy {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, newProblem(http.StatusConflict, distro.CodeConflict, "a request with this "+idempotencyKey+" is being carried out"))
			return
		}
		defer s.busy.Delete(key)
		known, response, err := s.opts.Service.Recall(r.Context(), key)
		switch {
		case err == nil && known != "" && known != fingerprint:
			p := newProblem(http.StatusUnprocessableEntity, distro.CodeInvalid, idempotencyKey+": was used for another request")
			p.Field = idempotencyKey
			writeProblem(w, p)
			return
		case err == nil && known != "":
			repeat(w, response)
			return
		case err != nil && !creates:
			writeProblem(w, s.problem(r.Context(), err, "header"))
			return
		}
		c := capture(handler, w, r.WithContext(context.WithValue(r.Context(), keyKey{}, key)))
		s.remember(r.Context(), key, fingerprint, c)
		c.send()
	}
}

// fingerprint tells requests apart. It reads the body, and leaves it to be read.
func (s *Server) fingerprint(w http.ResponseWriter, r *http.Request, key string) (string, *Problem) {
	if len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		p := newProblem(http.StatusUnprocessableEntity, distro.CodeInvalid, fmt.Sprintf("%s: must be at most %d printable ASCII characters", idempotencyKey, maxKey))
		p.Field = idempotencyKey
		return "", p
	}
	body, refused := s.readBody(w, r)
	if refused != nil {
		return "", refused
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.RequestURI() + "\n" + string(body)))
	return hex.EncodeToString(sum[:]), nil
}

// repeat gives an answer again.
func repeat(w http.ResponseWriter, response []byte) {
	var a answer
	if err := json.Unmarshal(response, &a); err != nil {
		panic(fmt.Errorf("decode a remembered answer: %w", err))
	}
	for name, value := range map[string]string{"Content-Type": a.Type, "Location": a.Location} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // the client may have gone
}

// remember keeps an answer that says what was done. One that says why nothing
// was may be another the next time.
func (s *Server) remember(ctx context.Context, key, fingerprint string, c *captured) {
	if c.status >= http.StatusMultipleChoices || c.body.Len() > maxAnswer {
		return
	}
	h := c.Header()
	response, err := json.Marshal(answer{Status: c.status, Type: h.Get("Content-Type"), Location: h.Get("Location"), Body: c.body.Bytes()})
	if err != nil {
		panic(fmt.Errorf("encode an answer to remember: %w", err))
	}
	// The client may go: what was done is remembered all the same.
	if err := s.opts.Service.Remember(context.WithoutCancel(ctx), key, fingerprint, response, keepAnswers); err != nil {
		s.opts.Logger.WarnContext(ctx, "an answer could not be remembered for its idempotency key", "error", err)
	}
}

type keyKey struct{}

// idFor is the ID of what a request makes as number i: of its key, so that it is
// the same when the request is sent again. Without a key it is empty.
func idFor(ctx context.Context, i int) string {
	key, _ := ctx.Value(keyKey{}).(string)
	if key == "" {
		return ""
	}
	return distro.IDOf(fmt.Sprintf("%s %d %s", idempotencyKey, i, key))
}

// keyParameter describes the header.
func keyParameter() *huma.Param {
	longest := maxKey
	return &huma.Param{
		Name: idempotencyKey, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &longest},
		Description: "makes the request repeatable: sent again with the same key within a day, it is not carried out again, and answered as before",
	}
}

package redisbroker

import (
	"context"
	"time"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/pickle"
)

// Description is the description of a job as it is written.
func Description(j distro.Job) string { return pickle.Description(j.Function, j.Payload.Data) }

// RQTime is a time as it is written.
func RQTime(t time.Time) string { return rqTime(t) }

// Eval runs a script and returns what its error means.
func (b *Broker) Eval(ctx context.Context, script string) error {
	return unavailable(b.client.Do(ctx, b.client.B().Eval().Script(script).Numkeys(0).Build()).Error())
}

// ParseURL reads a URL: for people, and for Python.
func ParseURL(url string) (shown, child string, err error) {
	t, err := parseTarget(url)
	if err != nil {
		return "", "", err
	}
	t.current = func() string { return "master:6379" }
	return t.String(), t.childURL(), nil
}

// Decode reads a job as Get and as List do.
func Decode(id string, fields, newest map[string]string) (got, listed distro.Job) {
	var c codec
	return c.job(id, stored{fields: fields, newest: newest, at: time.Unix(1_800_000_000, 0)}), c.decodeListed(id, fields)
}

// MaxPayload is the longest call that is inflated.
const MaxPayload = maxPayload

// Deflate is text as RQ compresses it.
func Deflate(text string) string {
	var c codec
	return c.deflate([]byte(text))
}

// LookAgain sets how often waits look for what nobody tells of.
func (b *Broker) LookAgain(every time.Duration) { b.lookAgain = every }

// NextHint is closed when the broker hears of something.
func (b *Broker) NextHint() <-chan struct{} { return b.signals.next() }

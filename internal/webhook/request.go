package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// errFinal: the receiver understood, and does not want it.
var errFinal = errors.New("the receiver refused it")

// The headers of a request.
const (
	HeaderEvent     = "Distro-Event"     // the Type
	HeaderDelivery  = "Distro-Delivery"  // the ID of the event
	HeaderSignature = "Distro-Signature" // see Signature; absent without a secret
)

// Signature is the value of HeaderSignature for a body that is sent at a time:
// t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of "SECONDS.BODY". Receivers
// compute it themselves, compare in constant time, and refuse old times.
func Signature(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(t + ".")) // never fails: see hash.Hash
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// send makes one request. Its errors tell neither URL nor secret.
func (s *Sender) send(ctx context.Context, d *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.URL, bytes.NewReader(d.body))
	if err != nil {
		return withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Distro/"+s.opts.Version)
	req.Header.Set(HeaderEvent, string(d.kind))
	req.Header.Set(HeaderDelivery, d.id)
	if s.opts.Secret != "" {
		req.Header.Set(HeaderSignature, Signature(s.opts.Secret, time.Now(), d.body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection can be used again
	return judge(resp.StatusCode)
}

// judge makes an error of an answer. Redirects are not followed, so they are
// none that was received.
func judge(status int) error {
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooEarly && status != http.StatusTooManyRequests,
		status/100 == 3:
		return fmt.Errorf("%w: status %d", errFinal, status)
	}
	return fmt.Errorf("the receiver answered status %d", status)
}

// withoutURL takes the URL off an error of package http.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// pauseBefore is the time between a try and the next: it doubles, up to a
// limit, and is up to a quarter shorter or longer, so that many do not come
// back together.
func pauseBefore(tries int) time.Duration {
	pause := longestWait
	if tries < 20 {
		pause = min(firstPause<<(tries-1), longestWait)
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	part := time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(pause/2))
	return pause - pause/4 + part
}

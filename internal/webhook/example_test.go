package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro/internal/webhook"
)

// verify is what a receiver does with the header Distro-Signature: it returns
// when the body was signed.
func verify(secret, header string, body []byte) (time.Time, error) {
	stamp, signature, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",v1=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil {
		return time.Time{}, errors.New("no signature")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	got, err := hex.DecodeString(signature)
	if err != nil || !hmac.Equal(mac.Sum(nil), got) {
		return time.Time{}, errors.New("the signature does not fit")
	}
	return time.Unix(seconds, 0), nil
}

func ExampleSignature() {
	body := []byte(`{"id":"42","type":"worker.lost"}`)
	header := webhook.Signature("0123456789abcdef", time.Unix(1763985600, 0), body)
	fmt.Println(header)

	at, err := verify("0123456789abcdef", header, body)
	fmt.Println(at.UTC().Format(time.RFC3339), err)
	_, err = verify("0123456789abcdef", header, []byte(`{"id":"43","type":"worker.lost"}`))
	fmt.Println(err)
	// Output:
	// t=1763985600,v1=f57eaeb607cf9a34d344be6ae24b21e5e4e9d5a5a96f68db704224ad7511b3a1
	// 2025-11-24T12:00:00Z <nil>
	// the signature does not fit
}

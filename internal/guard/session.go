package guard

import (
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
)

// Closed reports whether a token is needed at all.
func (g *Guard) Closed() bool { return g.operator.set }

// Key is a key for a purpose that everybody with the same tokens has, and nobody
// else. With another token it is another one; a role that no token is set for
// has none.
func (g *Guard) Key(role Role, purpose string) (key [sha256.Size]byte, ok bool) {
	secret := map[Role]secret{Operator: g.operator, Reader: g.reader}[role]
	if !secret.set {
		return key, false
	}
	mac := hmac.New(sha256.New, secret.hash[:])
	mac.Write([]byte(purpose + "\x00" + strconv.Itoa(int(role))))
	return [sha256.Size]byte(mac.Sum(nil)), true
}

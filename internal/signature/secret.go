package signature

import (
	"slices"
	"strings"
	"unicode"
)

// SecretName reports whether a parameter holds what nobody should read over a
// shoulder, as far as its name tells.
func SecretName(name string) bool {
	parts := Words(name)
	joined := strings.Join(parts, "")
	for _, hint := range []string{"apikey", "chaveapi", "accesskey", "secretkey", "privatekey", "chaveprivada"} {
		if strings.Contains(joined, hint) {
			return true
		}
	}
	return slices.ContainsFunc(parts, func(w string) bool {
		return slices.Contains([]string{"senha", "password", "passwd", "pwd", "token", "secret", "segredo", "passphrase", "credential", "pin"}, w)
	})
}

// Words parts the name of a parameter, api_key or apiKey, in lower case.
func Words(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		if r == '_' {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

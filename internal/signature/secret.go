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
		return slices.Contains([]string{
			"senha", "senhas", "password", "passwords", "passwd", "pwd", "passphrase", "token", "secret", "secrets", "segredo", "segredos",
			"credential", "credentials", "credencial", "credenciais", "pin",
		}, w)
	})
}

// Words parts the name of a parameter, or a key of an object, in lower case:
// api_key, apiKey, APIKey2 and X-Api-Key. Only letters are in words.
func Words(name string) []string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		behindLower := i > 0 && unicode.IsLower(runes[i-1])
		beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		switch {
		case !unicode.IsLetter(r) && !unicode.IsMark(r):
			r = ' '
		case unicode.IsUpper(r) && (behindLower || beforeLower):
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

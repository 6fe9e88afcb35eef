package signature_test

import (
	"testing"

	"github.com/distro-orchestrator/distro/internal/signature"
)

func TestNamesTellWhatIsSecret(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"senha": true, "nova_senha": true, "SENHA": true, "senha2": true, "userPassword": true, "DBPassword": true, "APIToken": true, "api_key": true,
		"apiKey": true, "X-Api-Key": true, "client-secret": true, "auth.token": true, "access token": true, "chave_api": true, "pin": true,
		"passwords": true, "senhas": true, "credentials": true, "credencial": true, "HTTPSecret": true,
		"": false, "desenha": false, "pinned": false, "tokenize": false, "max_tokens": false, "key": false, "monkey": false, "secretary": false, "ÁGUA": false,
	} {
		if got := signature.SecretName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

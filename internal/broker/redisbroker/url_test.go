package redisbroker_test

import (
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
)

func TestURLsNameTheSameServerToPeopleAndToPython(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, shown, child string }{
		{"redis://", "localhost:6379/0", "redis://localhost:6379/0"},
		{"redis://host", "host:6379/0", "redis://host:6379/0"},
		{" REDIS://host:1234/15 ", "host:1234/15", "redis://host:1234/15"},
		{"redis://host/3?db=4", "host:6379/4", "redis://host:6379/4"},
		{"redis://[::1]:7000/1", "[::1]:7000/1", "redis://[::1]:7000/1"},
		{"redis://[fe80::1]", "[fe80::1]:6379/0", "redis://[fe80::1]:6379/0"},
		{"redis://user:p%40ss%2Fword@host/1", "host:6379/1", "redis://user:p%40ss%2Fword@host:6379/1"},
		{"redis://:secret@host", "host:6379/0", "redis://:secret@host:6379/0"},
		{"redis://user@host?password=secret", "host:6379/0", "redis://user:secret@host:6379/0"},
		{"redis://a:b@host?username=c&password=d", "host:6379/0", "redis://a:b@host:6379/0"},
		{"redis://host?socket_timeout=5&health_check_interval=30", "host:6379/0", "redis://host:6379/0"},
		{"rediss://host?ssl_cert_reqs=none", "host:6379/0", "rediss://host:6379/0?ssl_cert_reqs=none"},
		{"unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"},
		{"unix://user:secret@/run/a%20b.sock", "unix:///run/a b.sock?db=0", "unix://user:secret@/run/a%20b.sock?db=0"},
		{"sentinel://h1,h2:26380/main", "sentinel://h1:26379,h2:26380/main/0", "redis://master:6379/0"},
		{"redis+sentinel://u:p@h1/main/3?sentinel_password=x", "sentinel://h1:26379/main/3", "redis://u:p@master:6379/3"},
	} {
		shown, child, err := redisbroker.ParseURL(test.url)
		if err != nil || shown != test.shown || child != test.child {
			t.Errorf("%s: got %q and %q (%v), want %q and %q", test.url, shown, child, err, test.shown, test.child)
		}
	}
}

func TestURLsThatCannotWorkAreRefusedWithTheReasonAndWithoutThePassword(t *testing.T) {
	t.Parallel()
	for url, reason := range map[string]string{
		"":                                                    "redis://HOST:PORT/DB",
		"user:hunter2@host:6379":                              "redis://HOST:PORT/DB",
		"user:hunter2@x://host":                               "redis://HOST:PORT/DB",
		"http://u:hunter2@host":                               "redis://HOST:PORT/DB",
		"redis://u:hunter2@host:port":                         "no port",
		"redis://u:hunter2@host:70000":                        "no port",
		"redis://u:hun/ter2@host:6379/0":                      "%2F",
		"redis://u:hunter2%@host":                             "%25",
		"redis://u:hunter2@host/one":                          "not a number",
		"redis://u:hunter2@host/-1":                           "not a number",
		"redis://u:hunter2@host?db=%zz":                       "options",
		"redis://u:hunter2@host?shoe=size":                    "shoe",
		"redis://u:hunter2@a:1,b:2,c:3":                       "Cluster",
		"redis+cluster://u:hunter2@a:1,b:2":                   "Cluster",
		"redis://host?ssl_cert_reqs=none":                     "ssl_cert_reqs",
		"rediss://u:hunter2@host?ssl_cert_reqs=perhaps":       "none, optional or required",
		"rediss://u:hunter2@host?ssl_ca_certs=/none/such.pem": "/none/such.pem",
		"rediss://u:hunter2@host?ssl_ca_path=/etc":            "ssl_ca_path",
		"unix://u:hunter2@host":                               "unix:///PATH",
		"unix://u:hunter2@host/run/redis.sock":                "unix:///PATH",
		"sentinel://u:hunter2@h1,h2":                          "master",
	} {
		_, _, err := redisbroker.ParseURL(url)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got %v, want an error that tells %q", url, err, reason)
		} else if strings.Contains(err.Error(), "hun") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
	}
}

package config_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/config"
)

// iniCases hold what Python 3.11's configparser, without interpolation, reads
// from the same text with a section before it.
func iniCases() map[string]struct {
	text string
	want []config.Entry
} {
	return map[string]struct {
		text string
		want []config.Entry
	}{
		"equals and colon divide, the first one counts": {
			"a=1\nb: 2\nc = x=y:z\nd:= 1\n",
			[]config.Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "x=y:z", 3}, {"d", "= 1", 4}},
		},
		"comments are whole lines": {
			"# one\n  ; two\na = 1 # 2 ; 3\n#b = 2",
			[]config.Entry{{"a", "1 # 2 ; 3", 3}},
		},
		"sections are merged": {
			"[x]\na = 1\n[y] behind\n  b = 2\nc = 3",
			[]config.Entry{{"a", "1", 2}, {"b", "2", 4}, {"c", "3", 5}},
		},
		"names are case-insensitive and may hold spaces": {
			"Task_Retries = 1\nx Y= 2", []config.Entry{{"task_retries", "1", 1}, {"x y", "2", 2}},
		},
		"percent, quotes and backslashes stay": {
			`a = "p%40%(x)s" \` + "\nb = `'", []config.Entry{{"a", `"p%40%(x)s" \`, 1}, {"b", "`'", 2}},
		},
		"deeper lines go on with the value": {
			"a =\n  1\n\n  2\n# c\n  # d\n  3\n\n\nb = 1", []config.Entry{{"a", "\n1\n\n2\n3", 1}, {"b", "1", 10}},
		},
		"a section in a deeper line is part of the value": {
			"a = 1\n [b]", []config.Entry{{"a", "1\n[b]", 1}},
		},
		"less deep lines are assignments": {
			"  a = 1\n b = 2\nc=3", []config.Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}},
		},
		"a byte order mark and any line ends": {
			"\ufeffa = 1\r\nb = 2\rc =\r\n", []config.Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "", 3}},
		},
		"comments need not be UTF-8": {"# Configura\xe7\xe3o\na = 1", []config.Entry{{"a", "1", 2}}},
		"nothing":                    {"", nil},
	}
}

func TestINIReadsAsConfigparserDoes(t *testing.T) {
	t.Parallel()
	for name, tt := range iniCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := config.ParseINI([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestINIErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a = 1\n\nkey\n":                  `line 3: "key" has no value: write name = value`,
		"= 3":                             `line 1: no name before "=": write name = value`,
		"[x]\n[]\n":                       "line 2: a section is written [name]",
		"[x":                              "line 1: a section is written [name]",
		"a = \xff":                        "line 1: not UTF-8 text: save the file as UTF-8",
		"\xff\xfea\x00":                   "line 1: the file is UTF-16: save it as UTF-8",
		strings.Repeat("a = 1\n", 1001):   "line 1001: more than 1000 settings",
		strings.Repeat("#", 1<<20) + "\n": "line 1: the file is larger than 1048576 bytes",
		"k" + strings.Repeat("é", 100) + "\na = 1": `line 1: "k` + strings.Repeat("é", 59) + `…" has no value: write name = value`,
	} {
		if _, err := config.ParseINI([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("ParseINI(%.40q) error = %v, want %s", text, err, want)
		}
	}
}

func FuzzParseINI(f *testing.F) {
	for _, tt := range iniCases() {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte("[x"))
	f.Add([]byte(" \x85a = 1\n\u2028 b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := config.ParseINI(data)
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("error without a line: %v", err)
		}
		for _, e := range entries {
			if e.Name == "" || e.Line < 1 || !utf8.ValidString(e.Value) || e.Name != strings.TrimSpace(e.Name) {
				t.Errorf("entry %+v", e)
			}
		}
	})
}

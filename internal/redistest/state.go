package redistest

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/distro-orchestrator/distro/internal/proctest"
)

// Key is a key of a Redis that was written to a file.
type Key struct {
	Key   string          `json:"key"`
	Type  string          `json:"type"`
	TTL   int             `json:"ttl"` // seconds; 0 or less: none
	Value json.RawMessage `json:"value"`
}

// ReadState reads the keys of a whole Redis from a file.
func ReadState(t proctest.TB, name string) []Key {
	t.Helper()
	var state struct {
		Keys []Key `json:"keys"`
	}
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		t.Fatalf("read the state of a Redis: %v", err)
	}
	return state.Keys
}

// Load writes keys into the database of a connection.
func Load(t proctest.TB, c *Conn, keys []Key) {
	t.Helper()
	for _, k := range keys {
		for _, args := range k.commands(t) {
			if e, failed := c.Do(args...).(Error); failed {
				t.Fatalf("%q: %v", args, e)
			}
		}
		if k.TTL > 0 {
			c.Do("EXPIRE", k.Key, strconv.Itoa(k.TTL))
		}
	}
}

// commands write a key.
func (k Key) commands(t proctest.TB) [][]string {
	t.Helper()
	parse := func(into any) {
		if err := json.Unmarshal(k.Value, into); err != nil {
			t.Fatalf("%s: %v", k.Key, err)
		}
	}
	decode := func(s string) string {
		text, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatalf("%s: %v", k.Key, err)
		}
		return string(text)
	}
	pairs := func(fields map[string]string) (list []string) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			list = append(list, name, decode(fields[name]))
		}
		return list
	}
	switch k.Type {
	case "string":
		var value string
		parse(&value)
		return [][]string{{"SET", k.Key, decode(value)}}
	case "hash":
		var fields map[string]string
		parse(&fields)
		return [][]string{append([]string{"HSET", k.Key}, pairs(fields)...)}
	case "list", "set":
		var items []string
		parse(&items)
		args := []string{map[string]string{"list": "RPUSH", "set": "SADD"}[k.Type], k.Key}
		for _, item := range items {
			args = append(args, decode(item))
		}
		return [][]string{args}
	case "zset":
		var members [][2]string
		parse(&members)
		args := []string{"ZADD", k.Key}
		for _, m := range members {
			args = append(args, m[1], decode(m[0]))
		}
		return [][]string{args}
	case "stream":
		var entries []json.RawMessage
		parse(&entries)
		var list [][]string
		for _, entry := range entries {
			var id string
			var fields map[string]string
			if err := json.Unmarshal(entry, &[]any{&id, &fields}); err != nil {
				t.Fatalf("%s: %v", k.Key, err)
			}
			list = append(list, append([]string{"XADD", k.Key, id}, pairs(fields)...))
		}
		return list
	}
	t.Fatalf("%s: unknown type %q", k.Key, k.Type)
	return nil
}

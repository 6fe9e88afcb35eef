package pickle

import (
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// JSON is the value as JSON text of at most limit bytes, where it is plain
// data: None, booleans, integers, finite floats, strings, lists, and dicts
// with text keys. AppendJSON makes an equal value of it.
func (v Value) JSON(limit int) ([]byte, bool) {
	w := jsonWriter{buf: []byte{}, limit: limit}
	if !w.node(v.node, v.depth) || len(w.buf) > limit {
		return nil, false
	}
	return w.buf, true
}

type jsonWriter struct {
	buf   []byte
	limit int
}

// node writes a value. It returns false where it is no plain data, is deeper
// than depth, or soon after the limit.
func (w *jsonWriter) node(node any, depth int) bool {
	switch v := node.(type) {
	case nil:
		w.buf = append(w.buf, "null"...)
	case bool:
		w.buf = strconv.AppendBool(w.buf, v)
	case int64:
		w.buf = strconv.AppendInt(w.buf, v, 10)
	case *big.Int:
		digits, ok := decimal(v)
		w.buf = append(w.buf, digits...)
		return ok
	case float64:
		w.buf = appendPythonFloat(w.buf, v)
		return !math.IsInf(v, 0) && !math.IsNaN(v)
	case text:
		return w.text(string(v))
	case *sequence:
		return v.kind == list && w.list(v.items, depth)
	case *mapping:
		return w.object(v, depth)
	default:
		return false
	}
	return len(w.buf) <= w.limit
}

func (w *jsonWriter) list(items []any, depth int) bool {
	if depth <= 0 {
		return false
	}
	w.buf = append(w.buf, '[')
	for i, item := range items {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		if !w.node(item, depth-1) {
			return false
		}
	}
	w.buf = append(w.buf, ']')
	return len(w.buf) <= w.limit
}

func (w *jsonWriter) object(m *mapping, depth int) bool {
	if depth <= 0 {
		return false
	}
	w.buf = append(w.buf, '{')
	for i, e := range m.entries {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		key, ok := e.key.(text)
		if !ok || !w.text(string(key)) {
			return false
		}
		w.buf = append(w.buf, ':')
		if !w.node(e.value, depth-1) {
			return false
		}
	}
	w.buf = append(w.buf, '}')
	return len(w.buf) <= w.limit
}

// text writes a string; half of a surrogate pair is an escape.
func (w *jsonWriter) text(s string) bool {
	w.buf = append(w.buf, '"')
	for len(s) > 0 {
		if len(w.buf) > w.limit {
			return false
		}
		r, size := nextRune(s)
		switch {
		case r == '"' || r == '\\':
			w.buf = append(w.buf, '\\', byte(r))
		case r < ' ' || 0xd800 <= r && r <= 0xdfff:
			const digits = "0123456789abcdef"
			w.buf = append(w.buf, '\\', 'u', digits[r>>12], digits[r>>8&0xf], digits[r>>4&0xf], digits[r&0xf])
		default:
			w.buf = utf8.AppendRune(w.buf, r)
		}
		s = s[size:]
	}
	w.buf = append(w.buf, '"')
	return true
}

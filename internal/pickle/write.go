package pickle

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// MaxDepth is how deep written values, and values read with the default
// Limits, may be nested.
const MaxDepth = 200

// Tuple is written as a Python tuple; []any is written as a list.
type Tuple []any

// Dict is written as a Python dict in this order. Of equal keys the last
// value counts, at the place of the first, as in a dict display of Python.
type Dict []Item

// Item is a member of a Dict.
type Item struct{ Key, Value any }

// Append appends the pickle of v to dst. It takes nil, booleans, integers of
// every Go type, *big.Int, floats, strings, []byte, []any, Tuple, Dict,
// map[string]any, whose keys it sorts, JSON, Set, Frozenset, Made and Member. A
// string that is not UTF-8, a nesting
// deeper than MaxDepth and every other type are refused; dst is then returned
// as it was.
func Append(dst []byte, v any) ([]byte, error) {
	out, err := appendValue(append(dst, opProto, protocol), v, MaxDepth)
	if err != nil {
		return dst, fmt.Errorf("write pickle: %w", err)
	}
	return append(out, opStop), nil
}

func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, opNone), nil
	case bool:
		return appendBool(dst, v), nil
	case string:
		return appendString(dst, v)
	case []byte:
		return appendBytes(dst, v)
	case float64:
		return appendFloat(dst, v), nil
	case float32:
		return appendFloat(dst, float64(v)), nil
	case *big.Int:
		if v != nil {
			return appendBig(dst, v), nil
		}
	case []any, Tuple, Dict, map[string]any:
		return appendContainer(dst, v, depth)
	}
	if out, ok := appendInteger(dst, v); ok {
		return out, nil
	}
	if out, ok, err := appendMade(dst, v, depth); ok {
		return out, err
	}
	return dst, fmt.Errorf("a value of Go's type %T has no pickle here", v)
}

func appendInteger(dst []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case int:
		return appendInt(dst, int64(v)), true
	case int8:
		return appendInt(dst, int64(v)), true
	case int16:
		return appendInt(dst, int64(v)), true
	case int32:
		return appendInt(dst, int64(v)), true
	case int64:
		return appendInt(dst, v), true
	case uint:
		return appendBig(dst, new(big.Int).SetUint64(uint64(v))), true
	case uint8:
		return appendInt(dst, int64(v)), true
	case uint16:
		return appendInt(dst, int64(v)), true
	case uint32:
		return appendInt(dst, int64(v)), true
	case uint64:
		return appendBig(dst, new(big.Int).SetUint64(v)), true
	}
	return dst, false
}

func appendContainer(dst []byte, v any, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errDepth
	}
	depth--
	switch v := v.(type) {
	case []any:
		if dst = append(dst, opEmptyList); len(v) == 0 {
			return dst, nil
		}
		dst, err := appendAll(append(dst, opMark), v, depth)
		return append(dst, opAppends), err
	case Tuple:
		if len(v) > 3 {
			dst = append(dst, opMark)
		}
		dst, err := appendAll(dst, v, depth)
		return append(dst, tupleEnd(len(v))), err
	case map[string]any:
		ordered := make(Dict, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			ordered = append(ordered, Item{key, v[key]})
		}
		return appendDict(dst, ordered, depth)
	}
	return appendDict(dst, v.(Dict), depth)
}

func appendAll(dst []byte, values []any, depth int) ([]byte, error) {
	var err error
	for _, v := range values {
		if dst, err = appendValue(dst, v, depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendDict(dst []byte, items Dict, depth int) ([]byte, error) {
	if dst = append(dst, opEmptyDict); len(items) == 0 {
		return dst, nil
	}
	dst = append(dst, opMark)
	var err error
	for _, item := range items {
		if !hashable(item.Key, depth) {
			return dst, fmt.Errorf("a value of Go's type %T is no key of a dict", item.Key)
		}
		if dst, err = appendAll(dst, []any{item.Key, item.Value}, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, opSetItems), nil
}

// hashable reports whether Python takes v as the key of a dict.
func hashable(v any, depth int) bool {
	switch v := v.(type) {
	case []any, Dict, map[string]any, Set:
		return false
	case JSON:
		return len(v) > 0 && v[0] != '[' && v[0] != '{'
	case Tuple:
		return depth > 0 && !slices.ContainsFunc(v, func(v any) bool { return !hashable(v, depth-1) })
	}
	return true
}

// tupleEnd is the opcode that makes a tuple of n elements; more than three
// stand behind a mark.
func tupleEnd(n int) byte {
	switch n {
	case 0:
		return opEmptyTuple
	case 1:
		return opTuple1
	case 2:
		return opTuple2
	case 3:
		return opTuple3
	}
	return opTuple
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, opNewTrue)
	}
	return append(dst, opNewFalse)
}

func appendInt(dst []byte, v int64) []byte {
	switch {
	case 0 <= v && v <= math.MaxUint8:
		return append(dst, opBinInt1, byte(v))
	case 0 <= v && v <= math.MaxUint16:
		return binary.LittleEndian.AppendUint16(append(dst, opBinInt2), uint16(v))
	case math.MinInt32 <= v && v <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(dst, opBinInt), uint32(v))
	}
	n := 8 // bytes that are needed for v and its sign
	for n > 1 && v>>(8*n-9) == v>>63 {
		n--
	}
	dst = append(dst, opLong1, byte(n))
	for i := range n {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

func appendBig(dst []byte, v *big.Int) []byte {
	if v.IsInt64() {
		return appendInt(dst, v.Int64())
	}
	// Two's complement of a negative number: the complement of its absolute
	// value less one.
	magnitude, flip := v, byte(0)
	if v.Sign() < 0 {
		magnitude, flip = new(big.Int).Not(v), 0xff
	}
	octets := make([]byte, magnitude.BitLen()/8+1) // with room for the sign
	magnitude.FillBytes(octets)
	slices.Reverse(octets)
	for i := range octets {
		octets[i] ^= flip
	}
	if len(octets) <= math.MaxUint8 {
		dst = append(dst, opLong1, byte(len(octets)))
	} else {
		dst = binary.LittleEndian.AppendUint32(append(dst, opLong4), uint32(len(octets)))
	}
	return append(dst, octets...)
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, opBinFloat), math.Float64bits(v))
}

func appendString(dst []byte, v string) ([]byte, error) {
	if !utf8.ValidString(v) {
		return dst, fmt.Errorf("the string %.40q is not UTF-8", v)
	}
	if uint64(len(v)) > math.MaxUint32 {
		return dst, errLength
	}
	dst = binary.LittleEndian.AppendUint32(append(dst, opBinUnicode), uint32(len(v)))
	return append(dst, v...), nil
}

func appendBytes(dst, v []byte) ([]byte, error) {
	if uint64(len(v)) > math.MaxUint32 {
		return dst, errLength
	}
	if len(v) <= math.MaxUint8 {
		dst = append(dst, opShortBinBytes, byte(len(v)))
	} else {
		dst = binary.LittleEndian.AppendUint32(append(dst, opBinBytes), uint32(len(v)))
	}
	return append(dst, v...), nil
}

package pickle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// CallView is RQ's call tuple (function, instance, args, kwargs) for people.
type CallView struct {
	Function string // dotted; only the method's name where Instance is not empty
	Instance string // the class of the object whose method is called; empty: none
	Args     Value  // a list, whatever sequence the pickle has
	Kwargs   Value  // a dict
}

// RQCut is how many characters of each argument RQ describes.
const RQCut = 75

// maxDescribed is how many positional, and how many keyword arguments a
// description names: Python itself once took no more.
const maxDescribed = 255

var errNoCall = errors.New("read pickle: it is no call of RQ")

// Call reads the pickle of a call within the default Limits.
func Call(data []byte) (CallView, error) {
	v, err := Read(data, Limits{})
	if err != nil {
		return CallView{}, err
	}
	parts, ok := v.node.(*sequence)
	if !ok || len(parts.items) != 4 || parts.kind != tuple && parts.kind != list {
		return CallView{}, errNoCall
	}
	function, isText := parts.items[0].(text)
	args, isSequence := parts.items[2].(*sequence)
	kwargs, isDict := parts.items[3].(*mapping)
	if !isText || !isSequence || !isDict {
		return CallView{}, errNoCall
	}
	view := CallView{
		Function: readable(string(function)),
		Args:     Value{&sequence{list, args.items}, v.depth},
		Kwargs:   Value{kwargs, v.depth},
	}
	if instance := parts.items[1]; instance != nil {
		view.Instance = typeName(instance)
	}
	return view, nil
}

// Describe is the call as RQ writes it into the description of a job:
// report.build('x', year=2026), the keyword arguments sorted as text and each
// argument cut behind limit characters. RQ's own limit is RQCut. Behind
// 255 arguments of a kind it ends with "...".
func (c CallView) Describe(limit int) string {
	var args []any
	if s, ok := c.Args.node.(*sequence); ok {
		args = s.items
	}
	var kwargs []entry
	if m, ok := c.Kwargs.node.(*mapping); ok {
		kwargs = m.entries
	}
	var positional, keywords []string
	for _, arg := range args[:min(len(args), maxDescribed)] {
		positional = append(positional, Value{arg, c.Args.depth}.Repr(limit))
	}
	for _, e := range kwargs[:min(len(kwargs), maxDescribed)] {
		name := Value{e.key, c.Kwargs.depth}.Repr(limit)
		if t, ok := e.key.(text); ok {
			name = cut(readable(string(t[:min(len(t), 4*(maxName+1))])), maxName)
		}
		keywords = append(keywords, name+"="+Value{e.value, c.Kwargs.depth}.Repr(limit))
	}
	slices.Sort(keywords)
	all := append(positional, keywords...)
	if len(args) > maxDescribed || len(kwargs) > maxDescribed {
		all = append(all, "...")
	}
	return c.Function + "(" + strings.Join(all, ", ") + ")"
}

// Description is a call as RQ describes it, the call being a pickle or the JSON
// that RQ writes in its place; function where it is neither.
func Description(function string, call []byte) string {
	if len(call) > 0 && call[0] == '[' { // no pickle begins so
		var parts []json.RawMessage
		if json.Unmarshal(call, &parts) != nil || len(parts) != 4 {
			return strings.ToValidUTF8(function, "\uFFFD")
		}
		call, _ = AppendCall(nil, function, parts[2], parts[3])
	}
	view, err := Call(call)
	if err != nil {
		return strings.ToValidUTF8(function, "\uFFFD")
	}
	return view.Describe(RQCut)
}

// maxFunction is the longest name that Function returns, in bytes.
const maxFunction = 4096

// Function is the function's name at the beginning of a pickled call; empty
// where none stands there, or one that is no UTF-8 or longer than 4 KiB. It
// reads nothing behind the name, so it does not say that the rest is sound.
func Function(data []byte) string {
	for len(data) > 0 {
		code := data[0]
		data = data[1:]
		skip := 0
		switch code {
		case opMark, opEmptyList, opList, opMemoize:
		case opProto, opBinPut:
			skip = 1
		case opLongBinPut:
			skip = 4
		case opFrame:
			skip = 8
		case opPut:
			skip = bytes.IndexByte(data, '\n') + 1
		case opShortBinUnicode, opShortBinString:
			return leading(data, 1)
		case opBinUnicode, opBinString:
			return leading(data, 4)
		case opBinUnicode8:
			return leading(data, 8)
		case opUnicode, opString:
			return leadingLine(code, data)
		default:
			return ""
		}
		if skip > len(data) {
			return ""
		}
		data = data[skip:]
	}
	return ""
}

// leading is the text that data begins with, behind its length in width bytes.
func leading(data []byte, width int) string {
	if len(data) < width {
		return ""
	}
	var length [8]byte
	copy(length[:], data[:width])
	n := binary.LittleEndian.Uint64(length[:])
	if data = data[width:]; n > maxFunction || n > uint64(len(data)) || !utf8.Valid(data[:n]) {
		return ""
	}
	return string(data[:n])
}

// leadingLine is the text that data begins with in a line of protocol 0.
func leadingLine(code byte, data []byte) string {
	n := bytes.IndexByte(data[:min(len(data), maxFunction+1)], '\n')
	if n < 0 {
		return ""
	}
	d := decoder{src: string(data[:n+1]), limits: Limits{Items: 1}}
	if code == opUnicode {
		d.lineUnicode()
	} else {
		d.lineString()
	}
	if name, ok := d.pop().(text); ok && utf8.ValidString(string(name)) {
		return string(name)
	}
	return ""
}

package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Limits bound what reading one pickle may cost. Zero fields take the default.
type Limits struct {
	Size  int // bytes of the pickle; 1 MiB
	Items int // values that are pushed, everything that is repeated counting again; 524,288
	Memo  int // values that are remembered for later reference; 131,072
	Depth int // nesting that is shown, and marks that are open at once; MaxDepth
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.Size, 1<<20)
	set(&l.Items, 1<<19)
	set(&l.Memo, 1<<17)
	set(&l.Depth, MaxDepth)
	return l
}

// Read reads the pickle that data begins with; what follows it is ignored, as
// in Python. It keeps no reference to data. A pickle beyond the limits is
// refused, not cut.
func Read(data []byte, limits Limits) (Value, error) {
	limits = limits.withDefaults()
	if len(data) > limits.Size {
		return Value{}, fmt.Errorf("read pickle: its %d bytes are more than %d", len(data), limits.Size)
	}
	d := decoder{src: string(data), limits: limits, stack: make([]any, 0, 16)}
	node := d.run()
	if d.err != nil {
		return Value{}, fmt.Errorf("read pickle: %w", d.err)
	}
	return Value{node, limits.Depth}, nil
}

// decoder is the pickle machine. The first error stays, and everything is
// safe to call after it.
type decoder struct {
	src    string
	pos    int
	proto  byte
	stack  []any
	marks  []int // heights of the stack
	memo   map[int]any
	pushed int
	limits Limits
	err    error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("before byte %d: "+format, append([]any{d.pos}, args...)...)
	}
}

// run executes the pickle and returns its value.
func (d *decoder) run() any {
	operations := operations()
	for d.err == nil {
		code := d.byte()
		if d.err == nil && code == opStop {
			return d.pop()
		}
		if operation := operations[code]; operation != nil {
			operation(d)
		} else {
			d.fail("opcode %#02x is unknown", code)
		}
	}
	return nil
}

// operations are what the opcodes but STOP do.
func operations() *[256]func(*decoder) {
	return &[256]func(*decoder){
		opProto:          func(d *decoder) { d.proto = d.byte() },
		opFrame:          func(d *decoder) { d.take(8) }, // a length that only spares reads
		opReadOnlyBuffer: func(*decoder) {},

		opMark:    (*decoder).mark,
		opPop:     (*decoder).drop,
		opPopMark: func(d *decoder) { d.popMark() },
		opDup:     (*decoder).dup,

		opNone:     func(d *decoder) { d.push(nil) },
		opNewTrue:  func(d *decoder) { d.push(true) },
		opNewFalse: func(d *decoder) { d.push(false) },
		opBinInt1:  func(d *decoder) { d.push(int64(d.byte())) },
		opBinInt2:  func(d *decoder) { d.push(int64(d.number(2))) },
		opBinInt:   func(d *decoder) { d.push(int64(int32(d.number(4)))) },
		opLong1:    func(d *decoder) { d.push(integer(d.take(uint64(d.byte())))) },
		opLong4:    func(d *decoder) { d.push(integer(d.take(d.number(4)))) },
		opBinFloat: (*decoder).float,
		opInt:      (*decoder).lineInt,
		opLong:     (*decoder).lineLong,
		opFloat:    (*decoder).lineFloat,

		opShortBinUnicode: func(d *decoder) { d.push(text(d.take(d.number(1)))) },
		opBinUnicode:      func(d *decoder) { d.push(text(d.take(d.number(4)))) },
		opBinUnicode8:     func(d *decoder) { d.push(text(d.take(d.number(8)))) },
		opUnicode:         (*decoder).lineUnicode,
		opString:          (*decoder).lineString,
		opShortBinString:  func(d *decoder) { d.push(ancient(d.take(d.number(1)))) },
		opBinString:       func(d *decoder) { d.push(ancient(d.take(d.number(4)))) },
		opShortBinBytes:   func(d *decoder) { d.push(raw(d.take(d.number(1)))) },
		opBinBytes:        func(d *decoder) { d.push(raw(d.take(d.number(4)))) },
		opBinBytes8:       func(d *decoder) { d.push(raw(d.take(d.number(8)))) },
		opByteArray8:      (*decoder).byteArray,
		opNextBuffer:      func(d *decoder) { d.push(&object{class: global{"pickle", "PickleBuffer"}}) },

		opEmptyTuple: func(d *decoder) { d.push(&sequence{kind: tuple}) },
		opTuple1:     func(d *decoder) { d.pushTuple(d.popN(1)) },
		opTuple2:     func(d *decoder) { d.pushTuple(d.popN(2)) },
		opTuple3:     func(d *decoder) { d.pushTuple(d.popN(3)) },
		opTuple:      func(d *decoder) { d.pushTuple(d.popMark()) },
		opEmptyList:  func(d *decoder) { d.push(&sequence{kind: list}) },
		opList:       func(d *decoder) { d.push(&sequence{list, slices.Clone(d.popMark())}) },
		opAppend:     func(d *decoder) { d.extend(d.popN(1)) },
		opAppends:    func(d *decoder) { d.extend(d.popMark()) },
		opEmptySet:   func(d *decoder) { d.push(&sequence{kind: set}) },
		opAddItems:   func(d *decoder) { d.extend(d.popMark()) },
		opFrozenSet:  func(d *decoder) { d.push(&sequence{frozenset, slices.Clone(d.popMark())}) },
		opEmptyDict:  func(d *decoder) { d.push(&mapping{}) },
		opDict:       func(d *decoder) { d.dict(d.popMark()) },
		opSetItem:    func(d *decoder) { d.update(d.popN(2)) },
		opSetItems:   func(d *decoder) { d.update(d.popMark()) },

		opPut:        func(d *decoder) { d.remember(d.lineIndex()) },
		opBinPut:     func(d *decoder) { d.remember(int(d.number(1))) },
		opLongBinPut: func(d *decoder) { d.remember(int(d.number(4))) },
		opMemoize:    func(d *decoder) { d.remember(len(d.memo)) },
		opGet:        func(d *decoder) { d.recall(d.lineIndex()) },
		opBinGet:     func(d *decoder) { d.recall(int(d.number(1))) },
		opLongBinGet: func(d *decoder) { d.recall(int(d.number(4))) },

		opGlobal:      func(d *decoder) { d.pushGlobal(d.line(), d.line()) },
		opStackGlobal: (*decoder).stackGlobal,
		opExt1:        func(d *decoder) { d.extension(d.number(1)) },
		opExt2:        func(d *decoder) { d.extension(d.number(2)) },
		opExt4:        func(d *decoder) { d.extension(d.number(4)) },
		opPersID:      func(d *decoder) { d.persistent(text(d.line())) },
		opBinPersID:   func(d *decoder) { d.persistent(d.pop()) },
		opInst:        (*decoder).inst,
		opObj:         (*decoder).obj,
		opReduce:      (*decoder).reduce,
		opNewObj:      (*decoder).newObj,
		opNewObjEx:    (*decoder).newObjEx,
		opBuild:       (*decoder).build,
	}
}

// take is the next n bytes, empty after an error.
func (d *decoder) take(n uint64) string {
	if d.err != nil || n > uint64(len(d.src)-d.pos) {
		d.fail("it ends too early")
		return ""
	}
	start := d.pos
	d.pos += int(n)
	return d.src[start:d.pos]
}

func (d *decoder) byte() byte { return byte(d.number(1)) }

// number is an unsigned number of n bytes, the lowest first; 0 after an error.
func (d *decoder) number(n int) uint64 {
	octets := d.take(uint64(n))
	var v uint64
	for i := len(octets) - 1; i >= 0; i-- {
		v = v<<8 | uint64(octets[i])
	}
	return v
}

func (d *decoder) push(node any) {
	if d.charge(1); d.err == nil {
		d.stack = append(d.stack, node)
	}
}

// charge counts n values towards the limit.
func (d *decoder) charge(n int) {
	if d.pushed += n; d.pushed > d.limits.Items {
		d.fail("it holds more than %d values", d.limits.Items)
	}
}

// topN are the n topmost values of the stack, which stay.
func (d *decoder) topN(n int) []any {
	floor := 0
	if len(d.marks) > 0 {
		floor = d.marks[len(d.marks)-1]
	}
	if d.err != nil || len(d.stack)-n < floor {
		d.fail("the stack is too short")
		return make([]any, n)
	}
	return d.stack[len(d.stack)-n:]
}

func (d *decoder) top() any { return d.topN(1)[0] }

// popN takes the n topmost values of the stack. They are valid until the next
// push.
func (d *decoder) popN(n int) []any {
	top := d.topN(n)
	if d.err == nil {
		d.stack = d.stack[:len(d.stack)-n]
	}
	return top
}

func (d *decoder) pop() any { return d.popN(1)[0] }

// chargeCopy counts n bytes that are read once more: a value that is remembered
// may be a long one, and come again and again.
func (d *decoder) chargeCopy(n int) { d.charge(n / 64) }

func (d *decoder) mark() {
	if len(d.marks) >= d.limits.Depth {
		d.fail("it is nested too deeply")
		return
	}
	d.marks = append(d.marks, len(d.stack))
}

// popMark takes what stands above the topmost mark. It is valid until the
// next push.
func (d *decoder) popMark() []any {
	if d.err != nil || len(d.marks) == 0 {
		d.fail("a mark is missing")
		return nil
	}
	height := d.marks[len(d.marks)-1]
	d.marks = d.marks[:len(d.marks)-1]
	above := d.stack[height:]
	d.stack = d.stack[:height]
	return above
}

// drop takes the topmost value away, or the mark that stands above it.
func (d *decoder) drop() {
	if n := len(d.marks); n > 0 && d.marks[n-1] == len(d.stack) {
		d.marks = d.marks[:n-1]
		return
	}
	d.pop()
}

func (d *decoder) dup() { d.push(d.top()) }

func (d *decoder) remember(i int) {
	if d.memo == nil {
		d.memo = make(map[int]any)
	}
	if d.memo[i] = d.top(); len(d.memo) > d.limits.Memo {
		d.fail("it remembers more than %d values", d.limits.Memo)
	}
}

func (d *decoder) recall(i int) {
	node, ok := d.memo[i]
	if !ok {
		d.fail("it refers to value %d, which it did not remember", i)
	}
	d.push(node)
}

// integer is a two's complement number, the lowest byte first.
func integer(octets string) any {
	n := len(octets)
	if n <= 8 {
		var v int64
		for i := n - 1; i >= 0; i-- {
			v = v<<8 | int64(octets[i])
		}
		shift := 64 - 8*n
		return v << shift >> shift
	}
	flip := byte(0)
	if octets[n-1] >= 0x80 {
		flip = 0xff
	}
	magnitude := make([]byte, n)
	for i := range n {
		magnitude[n-1-i] = octets[i] ^ flip
	}
	v := new(big.Int).SetBytes(magnitude)
	if flip != 0 {
		v.Not(v)
	}
	return normal(v)
}

// normal is an integer as the node that it is.
func normal(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

func (d *decoder) float() {
	if octets := d.take(8); octets != "" {
		d.push(math.Float64frombits(binary.BigEndian.Uint64([]byte(octets))))
	}
}

func (d *decoder) byteArray() {
	d.push(&object{class: global{"builtins", "bytearray"}, args: []any{raw(d.take(d.number(8)))}})
}

func (d *decoder) pushTuple(items []any) { d.push(&sequence{tuple, slices.Clone(items)}) }

// extend puts items into the list, set or object on top.
func (d *decoder) extend(items []any) {
	switch v := d.top().(type) {
	case *sequence:
		if v.kind == list || v.kind == set {
			v.items = append(v.items, items...)
			return
		}
	case *object:
		v.items = append(v.items, items...)
		return
	}
	d.fail("nothing can be put into what is on the stack")
}

func (d *decoder) dict(pairs []any) {
	m := &mapping{}
	d.fill(m, pairs)
	d.push(m)
}

// update puts pairs into the dict or object on top.
func (d *decoder) update(pairs []any) {
	switch v := d.top().(type) {
	case *mapping:
		d.fill(v, pairs)
		return
	case *object:
		if v.members == nil {
			v.members = &mapping{}
		}
		d.fill(v.members, pairs)
		return
	}
	d.fail("no key can be set in what is on the stack")
}

func (d *decoder) fill(m *mapping, pairs []any) {
	if len(pairs)%2 != 0 {
		d.fail("a key has no value")
		return
	}
	for i := 0; i < len(pairs) && d.err == nil; i += 2 {
		switch key := pairs[i].(type) {
		case text:
			d.chargeCopy(len(key))
		case raw:
			d.chargeCopy(len(key))
		case *big.Int:
			d.chargeCopy(key.BitLen() / 8)
		}
		m.set(pairs[i], pairs[i+1])
	}
}

func (d *decoder) pushGlobal(module, name string) {
	if len(module) > maxName || len(name) > maxName {
		d.fail("the name of a class is too long")
	}
	d.push(canonical(global{module, name}, d.proto))
}

// canonical undoes that the old protocols name builtins as Python 2 did.
func canonical(g global, proto byte) global {
	if proto >= 3 {
		return g
	}
	switch g.module {
	case "__builtin__":
		g.module = "builtins"
		switch g.name {
		case "xrange":
			g.name = "range"
		case "unicode":
			g.name = "str"
		case "long":
			g.name = "int"
		}
	case "exceptions":
		g.module = "builtins"
	case "copy_reg":
		g.module = "copyreg"
	}
	return g
}

func (d *decoder) stackGlobal() {
	names := d.popN(2)
	module, ok := names[0].(text)
	name, isText := names[1].(text)
	if !ok || !isText {
		d.fail("the name of a class is no text")
		return
	}
	d.pushGlobal(string(module), string(name))
}

func (d *decoder) extension(code uint64) {
	d.push(&object{class: global{"copyreg", "extension"}, args: []any{int64(code)}})
}

func (d *decoder) persistent(id any) {
	d.push(&object{class: global{"pickle", "persistent"}, args: []any{id}})
}

func (d *decoder) inst() {
	args := slices.Clone(d.popMark())
	d.pushGlobal(d.line(), d.line())
	d.push(&object{class: d.pop(), args: args})
}

func (d *decoder) obj() {
	parts := slices.Clone(d.popMark())
	if len(parts) == 0 {
		d.fail("the class of an object is missing")
		return
	}
	d.push(&object{class: parts[0], args: parts[1:]})
}

// arguments are the elements of a tuple.
func (d *decoder) arguments(node any) []any {
	s, ok := node.(*sequence)
	if !ok || s.kind != tuple {
		d.fail("the arguments of a call are no tuple")
		return nil
	}
	return s.items
}

func (d *decoder) reduce() {
	parts := d.popN(2)
	class, args := parts[0], d.arguments(parts[1])
	d.push(d.reduced(class, args))
}

// reduced is a call, undone where it only stands for a plain value or for an
// instance, as in protocols 0 to 2.
func (d *decoder) reduced(class any, args []any) any {
	switch {
	case class == global{"_codecs", "encode"} && len(args) == 2 && args[1] == text("latin1"):
		if t, ok := args[0].(text); ok {
			d.chargeCopy(len(t))
			if octets, ok := latin1(string(t), len(t)); ok && d.err == nil {
				return raw(octets)
			}
		}
	case class == global{"builtins", "bytes"} && len(args) == 0:
		return raw("")
	case class == global{"copyreg", "_reconstructor"} && len(args) == 3:
		o := &object{class: args[0], created: true}
		if args[1] != (global{"builtins", "object"}) {
			o.args = args[2:]
		}
		return o
	}
	return &object{class: class, args: args}
}

// latin1 are the first characters of s as bytes, at most limit, where each is
// one.
func latin1(s string, limit int) (string, bool) {
	octets := make([]byte, 0, min(len(s), limit))
	for _, r := range s {
		if len(octets) == limit {
			break
		}
		if r > 0xff {
			return "", false
		}
		octets = append(octets, byte(r))
	}
	return string(octets), true
}

func (d *decoder) newObj() {
	parts := d.popN(2)
	class, args := parts[0], d.arguments(parts[1])
	d.push(&object{class: class, args: args, created: true})
}

func (d *decoder) newObjEx() {
	parts := d.popN(3)
	class, args := parts[0], d.arguments(parts[1])
	kwargs, ok := parts[2].(*mapping)
	if !ok {
		d.fail("the keyword arguments of a call are no dict")
		return
	}
	d.push(&object{class: class, args: args, kwargs: kwargs, created: true})
}

// build keeps the state that an object is given; that of a class is nothing
// to show.
func (d *decoder) build() {
	state := d.pop()
	if o, ok := d.top().(*object); ok {
		o.state = state
	}
}

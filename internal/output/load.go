package output

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// window is how much of a file is read to find a mark: an undamaged file has
// one in every stretch of that length.
const window = int64(markEvery + recordHead + MaxLine + 2*maxMark)

// load reads what the files of a job hold: the first line of each, and the
// last from its last mark on.
func (p place) load() (state, error) {
	found := state{next: 1}
	numbers, err := p.numbers()
	if err != nil {
		return found, err
	}
	for _, n := range numbers {
		s, ok, err := p.inspect(n)
		if err != nil {
			return found, err
		}
		if ok {
			found.segments = append(found.segments, s)
		}
	}
	if len(found.segments) == 0 {
		return found, nil
	}
	file, err := os.Open(p.path(found.last().number))
	if err != nil {
		return found, err
	}
	defer file.Close()
	return found, found.readEnd(file)
}

// inspect reads the first line of a segment. A segment without one was being
// made when its process or the machine died: it does not count.
func (p place) inspect(number int) (segment, bool, error) {
	file, err := os.Open(p.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		return segment{}, false, nil
	}
	if err != nil {
		return segment{}, false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return segment{}, false, err
	}
	begin, err := readAt(file, 0, min(info.Size(), maxMark))
	if err != nil {
		return segment{}, false, err
	}
	line, _, ended := bytes.Cut(begin, []byte("\n"))
	first, ok := parseMark(line)
	return segment{number, first, info.Size()}, ok && ended, nil
}

// readEnd finds the end of the last segment: how far its lines have ended,
// the number of the next one, and the lines that are open.
func (s *state) readEnd(file io.ReaderAt) error {
	last := s.last()
	at, err := lastMark(file, last.size)
	if err != nil {
		return err
	}
	s.marked = at
	size, end := last.size, at
	lines := newLineReader(file, at, size)
	for lines.next() {
		if m, ok := parseMark(lines.line); ok {
			s.endOpen()
			s.next, s.text, s.origin = max(s.next, m.number), m.text, m.origin
			end = lines.offset
			continue
		}
		r := parseRecord(lines.line)
		if r.flag != flagOpen {
			s.endOpen()
			s.next++
			s.text += int64(len(r.text)) + 1
			s.origin.pass(len(r.text))
			end = lines.offset
			continue
		}
		r.text = bytes.Clone(r.text)
		s.open = append(s.open, r)
	}
	last.size = end
	return lines.err
}

// endOpen counts open records that are followed by others as lines that have
// ended: a torn write can leave them so.
func (s *state) endOpen() {
	for _, r := range s.open {
		s.next++
		s.text += int64(len(r.text)) + 1
	}
	s.open = nil
}

// findRun finds how far the files have a run: behind its last mark. Where that
// was cut with the middle, the run is not found.
func (p place) findRun(segments []segment, run string) (origin, bool, error) {
	for i := len(segments) - 1; i >= 0; i-- {
		o, ok, err := p.findRunIn(segments[i], run)
		if ok || err != nil {
			return o, ok, err
		}
	}
	return origin{}, false, nil
}

func (p place) findRunIn(s segment, run string) (origin, bool, error) {
	file, err := os.Open(p.path(s.number))
	if errors.Is(err, fs.ErrNotExist) {
		return origin{}, false, nil
	}
	if err != nil {
		return origin{}, false, err
	}
	defer file.Close()
	for at := s.size; at > 0; {
		if at, err = lastMark(file, at); err != nil {
			return origin{}, false, err
		}
		lines := newLineReader(file, at, s.size)
		if !lines.next() {
			return origin{}, false, lines.err
		}
		m, ok := parseMark(lines.line)
		if !ok || m.origin.run != run {
			continue
		}
		for lines.next() {
			if _, ok := parseMark(lines.line); ok {
				break
			}
			m.origin.pass(len(parseRecord(lines.line).text))
		}
		return m.origin, true, lines.err
	}
	return origin{}, false, nil
}

// lastMark is where the last mark before limit stands; 0 if there is no other.
func lastMark(file io.ReaderAt, limit int64) (int64, error) {
	for end := limit; end > 0; {
		begin := max(end-window, 0)
		block, err := readAt(file, begin, min(end-begin+maxMark, limit-begin))
		if err != nil {
			return 0, err
		}
		for i := len(block); ; {
			i = bytes.LastIndex(block[:i], []byte("\n"+markHead))
			if i < 0 {
				break
			}
			if _, ok := markAt(block, i+1); ok {
				return begin + int64(i) + 1, nil
			}
		}
		end = begin
	}
	return 0, nil
}

// findMark is where the last mark stands, or one of the last, whose number is
// not larger than number. The file's first line must be such a mark.
func findMark(file io.ReaderAt, limit, number int64) (int64, error) {
	low, high := int64(0), limit
	for high-low > window {
		middle := low + (high-low)/2
		block, err := readAt(file, middle, min(window, limit-middle))
		if err != nil {
			return 0, err
		}
		at, m, ok := firstMark(block)
		if ok && m.number <= number && middle+at < high {
			low = middle + at
		} else {
			high = middle
		}
	}
	return low, nil
}

// firstMark finds the first mark that begins within a block, not at its begin.
func firstMark(block []byte) (int64, mark, bool) {
	for i := 0; ; {
		j := bytes.Index(block[i:], []byte("\n"+markHead))
		if j < 0 {
			return 0, mark{}, false
		}
		i += j + 1
		if m, ok := markAt(block, i); ok {
			return int64(i), m, true
		}
	}
}

// markAt parses the mark that begins at block[i], if a whole one does.
func markAt(block []byte, i int) (mark, bool) {
	line, _, ended := bytes.Cut(block[i:min(len(block), i+maxMark)], []byte("\n"))
	m, ok := parseMark(line)
	return m, ok && ended
}

// readAt reads up to n bytes; fewer when the file ends.
func readAt(file io.ReaderAt, offset, n int64) ([]byte, error) {
	block := make([]byte, n)
	got, err := file.ReadAt(block, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return block[:got], nil
}

// lineReader reads whole lines between two offsets of a file. A line longer
// than any record, which only damage makes, comes in parts.
type lineReader struct {
	buf    *bufio.Reader
	line   []byte // without its end; valid until the next call of next
	offset int64  // behind line
	err    error
}

func newLineReader(file io.ReaderAt, from, to int64) *lineReader {
	const size = recordHead + MaxLine + 1
	return &lineReader{
		buf:    bufio.NewReaderSize(io.NewSectionReader(file, from, to-from), size),
		offset: from,
	}
}

// next reports whether there is another whole line.
func (l *lineReader) next() bool {
	line, err := l.buf.ReadSlice('\n')
	switch {
	case err == nil:
		l.line = line[:len(line)-1]
	case errors.Is(err, bufio.ErrBufferFull):
		l.line = line
	case errors.Is(err, io.EOF):
		return false // a torn rest is no line
	default:
		l.err = err
		return false
	}
	l.offset += int64(len(line))
	return true
}

package output

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
)

const (
	tailSegments = 8         // kept behind the head
	flushAt      = 128 << 10 // bytes of buffered records, to bound memory
)

// jobFile is the output of one job while somebody writes it or waits for it.
type jobFile struct {
	store *Store
	jobID string
	place place
	refs  int // guarded by store.mu

	mu      sync.Mutex
	version uint64        // of the last change
	waiting chan struct{} // closed at the next change; nil: nobody waits
	writers []*Writer     // the open ones

	// What is in the files; while they are not loaded, next and text count
	// what was dropped.
	loaded bool
	state

	file     *os.File // of the last segment; nil: not open
	buf      []byte   // records not yet written
	skipped  bool     // lines were dropped since the last mark
	dropping error    // why the last flush dropped lines
	dropped  bool     // some flush dropped lines
	shown    bool     // open lines stand behind the last segment's size
}

// state is what the files of a job hold.
type state struct {
	segments []segment // oldest first
	next     int64     // number of the next line
	text     int64     // bytes of all lines, their ends included
	origin   origin    // of the last mark, and how far it has come
	marked   int64     // where the last mark stands in the last segment
	open     []record  // at the end of the files, where no writer has them
}

// last is the segment that is written.
func (s *state) last() *segment { return &s.segments[len(s.segments)-1] }

// load reads the state of the files before the first write, ends the lines
// that an earlier process left open, and cuts off a torn one. Open lines of
// run, which goes on, are not ended: it brings them again. Where that does not
// work, the next write tries again.
func (f *jobFile) load(run string) {
	if f.loaded {
		return
	}
	found, err := f.place.load()
	if err != nil {
		f.dropping = f.report(err)
		return
	}
	f.loaded = true
	missed, missedText := f.next-1, f.text
	f.state = found
	if len(f.segments) == 0 {
		f.segments = []segment{{number: 0}}
	}
	if run == "" || found.origin.run != run {
		left := origin{attempt: found.origin.attempt}
		for _, r := range found.open {
			f.append(&left, makeStamp(r.at), r.stream, flagEnded, r.text, nil)
		}
	}
	f.open = nil
	if missed > 0 {
		f.flush()
		f.skipped = true
		f.next += missed
		f.text += missedText
	}
}

// append buffers one record, behind a mark where one is due.
func (f *jobFile) append(o *origin, at stamp, s Stream, fl flag, begin, end []byte) {
	size := recordHead + len(begin) + len(end) + 1
	if f.loaded {
		f.makeRoom(int64(size))
		f.markIfDue(*o)
	}
	f.buf = appendRecord(f.buf, at, s, fl, begin, end)
	f.next++
	f.text += int64(len(begin) + len(end) + 1)
	o.pass(len(begin) + len(end))
	f.origin = *o
	if len(f.buf) >= flushAt {
		f.flush()
	}
}

// makeRoom begins the next segment when the record would not fit in the last.
func (f *jobFile) makeRoom(size int64) {
	limit := f.store.options.MaxPerJob / 2
	if f.last().number > 0 {
		limit /= tailSegments
	}
	used := f.last().size + int64(len(f.buf))
	if used == 0 || used+size+maxMark <= limit {
		return
	}
	f.flush()
	if f.last().size == 0 {
		return // the flush dropped everything: this segment is still empty
	}
	f.cutOpen()
	f.closeFile()
	f.segments = append(f.segments, segment{number: f.last().number + 1})
	f.marked = 0
	f.cutMiddle()
}

// cutMiddle removes the oldest segments of the tail that are too many. One
// that cannot be removed now, as while it is read on Windows, is removed when
// the next segment begins.
func (f *jobFile) cutMiddle() {
	first := 0
	if f.segments[0].number == 0 {
		first = 1
	}
	for len(f.segments)-first > tailSegments {
		err := os.Remove(f.place.path(f.segments[first].number))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		f.segments = slices.Delete(f.segments, first, first+1)
	}
}

// markIfDue buffers a mark where the reader needs one.
func (f *jobFile) markIfDue(o origin) {
	at := f.last().size + int64(len(f.buf))
	if at > 0 && !f.skipped && o.same(f.origin) && at-f.marked < markEvery {
		return
	}
	m := mark{f.next, f.text, o}
	if at == 0 {
		f.last().first = m
	}
	f.buf = appendMark(f.buf, m)
	f.origin, f.marked, f.skipped = o, at, false
}

// flushOpen writes what is buffered, and behind it the open lines, which the
// next flush overwrites.
func (f *jobFile) flushOpen() {
	if f.loaded && len(f.buf) == 0 && f.last().size == 0 {
		f.markIfDue(f.openOrigin())
	}
	for _, w := range f.writers {
		if w.origin.run != "" && f.loaded && w.hasOpen() {
			f.markIfDue(w.origin) // so that whoever goes on with the run knows them as its own
		}
	}
	ended := len(f.buf)
	for _, w := range f.writers {
		for i, line := range w.open {
			if len(line.text) > 0 {
				f.buf = appendRecord(f.buf, line.at, Stream(letters[i]), flagOpen, line.text, nil)
			}
		}
	}
	f.write(ended)
}

// flush writes what is buffered.
func (f *jobFile) flush() { f.write(len(f.buf)) }

// write writes the buffer, of which the first bytes, ended, are to stay. What
// cannot be written is dropped, which a Receiver takes back.
func (f *jobFile) write(ended int) {
	size := len(f.buf)
	err := f.writeBuffer()
	f.buf = f.buf[:0]
	if err == nil {
		f.shown = ended < size
		f.last().size += int64(ended)
		f.store.written.Add(int64(ended))
	} else {
		f.skipped, f.dropped = true, true
		f.cutOpen() // and what the write left behind
	}
	f.dropping = f.report(err)
}

// cutOpen cuts off what does not stay. Where that does not work, later lines
// overwrite it.
func (f *jobFile) cutOpen() {
	if f.file != nil {
		_ = f.file.Truncate(f.last().size)
	}
}

func (f *jobFile) openOrigin() origin {
	if len(f.writers) == 0 {
		return f.origin
	}
	return f.writers[len(f.writers)-1].origin
}

func (f *jobFile) writeBuffer() error {
	if !f.loaded {
		return f.dropping
	}
	if len(f.buf) == 0 {
		return nil
	}
	if f.file == nil {
		file, err := f.place.create(f.last().number)
		if err != nil {
			return err
		}
		if err := file.Truncate(f.last().size); err != nil { // torn or open lines
			_ = file.Close()
			return err
		}
		f.file = file
	}
	_, err := f.file.WriteAt(f.buf, f.last().size)
	return err
}

// report logs when storing does not work and when it is over, and returns err.
func (f *jobFile) report(err error) error {
	log := f.store.options.Logger
	switch {
	case err != nil && f.dropping == nil:
		log.Warn("output of a job cannot be stored", "job_id", f.jobID, "err", err)
	case err == nil && f.dropping != nil:
		log.Info("output of a job is stored again", "job_id", f.jobID)
	}
	return err
}

// leave ends the open lines of a writer, and closes the file behind the last.
func (f *jobFile) leave(w *Writer) {
	f.writers = slices.DeleteFunc(f.writers, func(o *Writer) bool { return o == w })
	left := origin{attempt: w.origin.attempt} // of a run: what it brings later is no repetition of these
	for i := range w.open {
		if line := &w.open[i]; len(line.text) > 0 {
			f.load("")
			f.append(&left, line.at, Stream(letters[i]), flagEnded, line.text, nil)
			line.text = nil
		}
	}
	if len(f.buf) > 0 {
		f.flushOpen()
	}
	if f.next > 1 {
		f.load(w.origin.run) // nothing of what was written could be stored
	}
	if f.loaded && f.skipped {
		f.markIfDue(w.origin) // all that is left to say so
		f.flush()
	}
	if len(f.writers) == 0 {
		f.unload()
	}
	f.changed()
}

// unload forgets what is known of the files.
func (f *jobFile) unload() {
	f.closeFile()
	f.loaded, f.skipped, f.dropping = false, false, nil
	f.state = state{next: 1}
	f.buf = nil
}

func (f *jobFile) closeFile() {
	if f.file != nil {
		_ = f.file.Close() // everything was written through
		f.file = nil
	}
}

// changed wakes who waits.
func (f *jobFile) changed() {
	f.version = f.store.version.Add(1)
	if f.waiting != nil {
		close(f.waiting)
		f.waiting = nil
	}
}

// changedSince returns nil if there was a change after version seen, else a
// channel that is closed at the next one.
func (f *jobFile) changedSince(seen uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.version > seen {
		return nil
	}
	if f.waiting == nil {
		f.waiting = make(chan struct{})
	}
	return f.waiting
}

package shipping_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/output"
	"github.com/distro-orchestrator/distro/internal/shipping"
)

func TestOutputIsStoredWhileItIsPrinted(t *testing.T) {
	t.Parallel()
	q := newQueue()
	ship, spool, stop := shipper(t, q)
	store, _ := mover(t, q, t.TempDir())
	a := ship.Attempt("job", 2)
	write(t, a, "one\nname? ")
	awaitText(t, store, "job", func(lines []string, writing bool) bool {
		return slices.Equal(lines, []string{"2 stdout one", "2 stdout name? >"}) && writing
	})
	if err := a.Note("killed"); err != nil {
		t.Fatal(err)
	}
	awaitText(t, store, "job", func(lines []string, _ bool) bool {
		return slices.Equal(lines, []string{"2 stdout one", "2 distro killed", "2 stdout name? >"})
	})
	a.Close()
	awaitText(t, store, "job", func(lines []string, writing bool) bool {
		return slices.Equal(lines, []string{"2 stdout one", "2 distro killed", "2 stdout name? "}) && !writing
	})
	q.await(t, "nothing waits", func() bool { return len(q.waiting) == 0 })
	if page, err := store.Read(t.Context(), "job", 1, 1); err != nil || page.Lines[0].At.UnixMicro() != 1_763_928_000_123_456 {
		t.Errorf("the time is that of the print: %+v, %v", page, err)
	}
	ship.Attempt("silent", 1).Close()
	stop() // it may not have heard yet that all was taken
	if left, err := filepath.Glob(filepath.Join(spool, "*", "*.log")); err != nil || len(left) > 0 {
		t.Errorf("the spool has %q, %v", left, err)
	}
}

// TestEachLineIsStoredOnceOverABadLine loses calls and replies of both sides,
// and restarts the storing one all the time.
func TestEachLineIsStoredOnceOverABadLine(t *testing.T) {
	t.Parallel()
	const jobs, lines = 4, 4000
	q := newQueue()
	q.losses, q.room = rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))), 6
	ship, _, _ := shipper(t, q)
	dir := t.TempDir()
	stopMoving := func() {}
	var printing sync.WaitGroup
	want := map[string][]string{}
	for j := range jobs {
		id := fmt.Sprint("job-", j)
		var all []string
		for n := range lines {
			all = append(all, fmt.Sprintf("1 stdout %d %s", n, strings.Repeat("x", n%300)))
		}
		want[id] = all
		printing.Go(func() {
			a := ship.Attempt(id, 1)
			for part := range slices.Chunk(all, 40) {
				text := ""
				for _, line := range part {
					text += strings.TrimPrefix(line, "1 stdout ") + "\n"
				}
				half := len(text) / 2
				_ = a.Write(output.Stdout, time.Now(), []byte(text[:half]))
				_ = a.Write(output.Stdout, time.Now(), []byte(text[half:]))
			}
			a.Close()
		})
	}
	for ended := false; !ended; {
		_, stopMoving = mover(t, q, dir)
		before := -1
		q.await(t, "some chunks came", func() bool {
			if before < 0 {
				before = q.next
			}
			ended = q.ends >= jobs
			return ended || q.next >= before+5
		})
		stopMoving()
	}
	printing.Wait()
	q.set(func() { q.losses = nil })
	store, _ := mover(t, q, dir)
	for id, want := range want {
		awaitText(t, store, id, func(_ []string, writing bool) bool { return !writing })
		got, _ := texts(t, store, id)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	t.Logf("%d chunks in %d calls", q.next, q.shipped)
}

func TestWithoutAReaderNothingIsSentAndLittleIsAsked(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.unread = true
	ship, spool, _ := shipper(t, q)
	open := ship.Attempt("open", 1)
	write(t, open, "one\n")
	q.await(t, "somebody asked", func() bool { return q.asked == 1 })
	for i := range 100 {
		a := ship.Attempt(fmt.Sprint(i), 1)
		write(t, a, "x\n")
		a.Close()
	}
	q.mu.Lock()
	if q.asked != 1 || q.shipped != 0 {
		t.Errorf("%d calls and %d questions", q.shipped, q.asked)
	}
	q.mu.Unlock()
	if left, err := filepath.Glob(filepath.Join(spool, "*", "*.log")); err != nil || len(left) != 0 {
		t.Errorf("the spool has %q, %v", left, err)
	}
	// Who comes late reads all of what still runs.
	q.set(func() { q.unread = false })
	store, _ := mover(t, q, t.TempDir())
	q.await(t, "what was printed so far is sent", func() bool { return q.shipped > 0 })
	write(t, open, "two\n")
	open.Close()
	awaitText(t, store, "open", func(lines []string, writing bool) bool { return len(lines) == 2 && !writing })
	// And who goes away without a word is noticed by the next call.
	q.set(func() { q.unread = true })
	a := ship.Attempt("late", 1)
	write(t, a, "x\n")
	a.Close()
	if left, err := filepath.Glob(filepath.Join(spool, "*", "*.log")); err != nil || len(left) != 0 {
		t.Errorf("the spool has %q, %v", left, err)
	}
}

func TestAJobDoesNotWaitForRoom(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.room = 2
	ship, _, _ := shipper(t, q)
	a := ship.Attempt("job", 1)
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 10_000) // 1 MB, so many chunks
	write(t, a, text)
	q.await(t, "the room is full", func() bool { return len(q.waiting) == q.room && q.shipped > 1 })
	a.Close() // which does not wait for a reader
	store, _ := mover(t, q, t.TempDir())
	awaitText(t, store, "job", func(lines []string, writing bool) bool { return len(lines) == 10_000 && !writing })
}

func TestAttemptsOfAJobAreSentOneAfterAnother(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.room = 1
	ship, _, _ := shipper(t, q)
	const lines = 3000
	for attempt := 1; attempt <= 3; attempt++ {
		a := ship.Attempt("job", attempt)
		write(t, a, strings.Repeat(strings.Repeat("x", 99)+"\n", lines))
		a.Close()
	}
	store, _ := mover(t, q, t.TempDir())
	awaitText(t, store, "job", func(got []string, writing bool) bool { return len(got) == 3*lines && !writing })
	got, _ := texts(t, store, "job")
	if !slices.IsSorted(got) {
		t.Error("the attempts are mixed")
	}
}

func TestManyThatFindNoRoomAskSeldom(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.room = 1
	ship, _, _ := shipper(t, q)
	const jobs = 200
	for i := range jobs {
		a := ship.Attempt(fmt.Sprint("job-", i), 1)
		write(t, a, "x\n")
		a.Close()
	}
	store, _ := mover(t, q, t.TempDir())
	for i := range jobs {
		awaitText(t, store, fmt.Sprint("job-", i), func(lines []string, writing bool) bool { return len(lines) == 1 && !writing })
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shipped > 10*jobs {
		t.Errorf("%d calls for %d attempts", q.shipped, jobs)
	}
	t.Logf("%d calls for %d attempts", q.shipped, jobs)
}

func TestWhatIsTooMuchInTheSpoolIsGivenUpOldestFirst(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.room = 1
	ship, _, _ := shipper(t, q, func(o *shipping.ShipperOptions) { o.MaxEnded = 1000 })
	for i := range 3 { // the first fills the room
		a := ship.Attempt(fmt.Sprint("job-", i), 1)
		write(t, a, strings.Repeat("x", 599)+"\n")
		a.Close()
	}
	store, _ := mover(t, q, t.TempDir())
	for i, want := range []int{1, 0, 1} {
		id := fmt.Sprint("job-", i)
		if want > 0 {
			awaitText(t, store, id, func(lines []string, writing bool) bool { return len(lines) == want && !writing })
		} else if lines, _ := texts(t, store, id); len(lines) > 0 {
			t.Errorf("%s: %q", id, lines)
		}
	}
}

func TestTheEndOfAWorkerSendsWhatIsLeftAndIsBounded(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.room = 1
	ship, _, stop := shipper(t, q)
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 5000)
	a := ship.Attempt("job", 1)
	write(t, a, text)
	a.Close()
	store, _ := mover(t, q, t.TempDir())
	stop()
	awaitText(t, store, "job", func(lines []string, writing bool) bool { return len(lines) == 5000 && !writing })

	q.set(func() { q.room = 0 })
	ship, _, stop = shipper(t, q, func(o *shipping.ShipperOptions) { o.Flush = 50 * time.Millisecond })
	q.set(func() { q.down = true })
	a = ship.Attempt("lost", 1)
	write(t, a, "x\n")
	closed := make(chan struct{})
	go func() { defer close(closed); a.Close() }()
	began := time.Now()
	stop()
	<-closed
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the end took %v", took)
	}
}

func TestARunIsClosedWhenItsAttemptIsOverAndNothingComes(t *testing.T) {
	t.Parallel()
	q := newQueue()
	store, _ := mover(t, q, t.TempDir())
	chunk := func(id, run string) output.Chunk {
		return output.Chunk{JobID: id, Run: run, Attempt: 1, Text: []byte("# line 1 text 0 attempt 1\n1763928000123456 o one\n1763928000123456 o>op\n")}
	}
	q.set(func() {
		q.jobs["runs"] = distro.Job{ID: "runs", Status: distro.StatusStarted, Attempt: 1}
		q.jobs["over"] = distro.Job{ID: "over", Status: distro.StatusFailed, Attempt: 1}
		q.jobs["again"] = distro.Job{ID: "again", Status: distro.StatusStarted, Attempt: 2}
	})
	if _, err := q.ShipOutput(t.Context(), []output.Chunk{chunk("runs", "00000001"), chunk("over", "00000002"), chunk("again", "00000003"), chunk("gone", "00000004")}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"over", "again", "gone"} {
		awaitText(t, store, id, func(lines []string, writing bool) bool {
			return slices.Equal(lines, []string{"1 stdout one", "1 stdout op"}) && !writing
		})
	}
	if lines, writing := texts(t, store, "runs"); !writing || lines[1] != "1 stdout op>" {
		t.Errorf("what runs: %q, writing %t", lines, writing)
	}
	// It was cut off only, and says so by going on.
	more := chunk("over", "00000002")
	more.Text, more.End = []byte("# line 2 text 4 attempt 1\n1763928000123456 o open\n"), true
	if _, err := q.ShipOutput(t.Context(), []output.Chunk{more}); err != nil {
		t.Fatal(err)
	}
	awaitText(t, store, "over", func(lines []string, writing bool) bool {
		return slices.Equal(lines, []string{"1 stdout one", "1 stdout op", "1 stdout open"}) && !writing
	})
}

func TestOneOfSeveralStoresHasItsTurn(t *testing.T) {
	t.Parallel()
	q := newQueue()
	q.holder = "other"
	store, _ := mover(t, q, t.TempDir())
	ship, _, _ := shipper(t, q)
	a := ship.Attempt("job", 1)
	write(t, a, "x\n")
	a.Close()
	if lines, _ := texts(t, store, "job"); len(lines) > 0 {
		t.Errorf("stored out of turn: %q", lines)
	}
	q.set(func() { q.holder = "" })
	awaitText(t, store, "job", func(lines []string, writing bool) bool { return len(lines) == 1 && !writing })
}

func TestWhatCannotBeStoredStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	q := newQueue()
	dir := t.TempDir()
	probe, err := output.Open(dir, output.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := probe.Writer("blocked", 1)
	if err := w.Write(output.Stdout, time.Now(), []byte("x\n")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	heads, err := filepath.Glob(filepath.Join(dir, "*", "*.log"))
	if err != nil || len(heads) != 1 {
		t.Fatal(heads, err)
	}
	folder := filepath.Dir(heads[0])
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // where the store needs a folder
		t.Fatal(err)
	}
	store, _ := mover(t, q, dir)
	ship, _, _ := shipper(t, q)
	send := func(id, text string) {
		a := ship.Attempt(id, 1)
		write(t, a, text)
		a.Close()
	}
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 3000)
	send("blocked", text)
	send("other", "x\n")
	if _, err := q.ShipOutput(t.Context(), []output.Chunk{{JobID: "other", Run: "no run"}, {JobID: "other", Run: "00000001", Text: []byte("no text")}}); err != nil {
		t.Fatal(err)
	}
	awaitText(t, store, "other", func(lines []string, _ bool) bool { return len(lines) == 1 })
	q.await(t, "only the blocked chunks wait", func() bool {
		return len(q.waiting) > 1 && !slices.ContainsFunc(q.waiting, func(a output.Arrival) bool { return a.JobID != "blocked" })
	})
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	awaitText(t, store, "blocked", func(lines []string, writing bool) bool {
		return len(lines) == 3000 && !writing && !strings.Contains(lines[0], "…")
	})
}

package redisbroker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distro-orchestrator/distro/internal/broker"
	"github.com/distro-orchestrator/distro/internal/broker/redisbroker"
	"github.com/distro-orchestrator/distro/internal/output"
)

// hostileJob is an ID that no key or field may be misled by.
const hostileJob = "job:all\x00 distro:unread ' \n*"

func (b *bundle) ship(chunks ...output.Chunk) []output.Shipped {
	b.Helper()
	shipped, err := b.broker.ShipOutput(b.Context(), chunks)
	if err != nil {
		b.Fatal(err)
	}
	return shipped
}

func (b *bundle) hold(store string) bool {
	b.Helper()
	held, err := b.broker.HoldOutput(b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	return held
}

// receive returns n chunks in order.
func (b *bundle) receive(n int) []output.Arrival {
	b.Helper()
	var all []output.Arrival
	for after := ""; len(all) < n; after = all[len(all)-1].ID {
		part, err := b.broker.ReceiveOutput(b.Context(), after)
		if err != nil || len(part) == 0 {
			b.Fatalf("received %d chunks, then %d: %v", len(all), len(part), err)
		}
		all = append(all, part...)
	}
	return all
}

func (b *bundle) stored(arrived ...output.Arrival) {
	b.Helper()
	if err := b.broker.StoredOutput(b.Context(), arrived); err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) arriving(id string) bool {
	b.Helper()
	is, err := b.broker.OutputArriving(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	return is
}

func chunks(arrived []output.Arrival) (list []output.Chunk) {
	for _, a := range arrived {
		list = append(list, a.Chunk)
	}
	return list
}

// noise is text that cannot be made smaller.
func noise(n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(rand.IntN(256))
	}
	return text
}

func TestChunksOfOutputArriveInOrderUntilTheyAreStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold("s")
	sent := []output.Chunk{
		{JobID: hostileJob, Run: "0011", Attempt: 1, Text: []byte("short\xff\n")},
		{JobID: "b", Run: "0022", Attempt: 7, Text: []byte(strings.Repeat("long\n", 10_000))},
		{JobID: hostileJob, Run: "0011", Attempt: 1, Text: noise(1000), End: true},
	}
	if diff := cmp.Diff([]output.Shipped{output.ShippedTaken, output.ShippedTaken, output.ShippedTaken}, b.ship(sent...)); diff != "" {
		t.Error(diff)
	}
	arrived := b.receive(3)
	if diff := cmp.Diff(sent, chunks(arrived)); diff != "" {
		t.Errorf("(-sent +arrived):\n%s", diff)
	}
	if n := arrived[1].Size; n > 1000 {
		t.Errorf("50 kB that repeat count for %d bytes", n)
	}
	b.stored(arrived[0], arrived[1])
	b.stored(arrived[0]) // again, as after a lost reply
	if !b.arriving(hostileJob) || b.arriving("b") {
		t.Error("one job has output that arrives, the other does not")
	}
	if diff := cmp.Diff(sent[2:], chunks(b.receive(1))); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	b.stored(arrived...)
	if b.arriving(hostileJob) || b.do("XLEN", "distro:output") != int64(0) {
		t.Error("something is left")
	}
	if all := b.do("HGET", "distro:unread", "all"); all != "0" {
		t.Errorf("%v bytes are left", all)
	}
}

func TestOutputIsNotTakenWithoutAReader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wanted := func() bool {
		is, err := b.broker.OutputWanted(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	chunk := output.Chunk{JobID: "a", Run: "0011", Text: []byte("x\n")}
	if got := b.ship(chunk, chunk); wanted() || got[0] != output.ShippedUnwanted || got[1] != output.ShippedUnwanted {
		t.Errorf("taken: %v", got)
	}
	if n := b.do("EXISTS", "distro:output", "distro:unread"); n != int64(0) || b.arriving("a") {
		t.Errorf("%v keys were made", n)
	}
	b.hold("s")
	if got := b.ship(chunk); !wanted() || got[0] != output.ShippedTaken {
		t.Errorf("with a reader: %v", got)
	}
	for _, key := range []string{"distro:output", "distro:unread", "distro:listens"} {
		if ttl := b.do("TTL", key).(int64); ttl < 3500 || ttl > 3600 {
			t.Errorf("%s is kept for %d s, want an hour", key, ttl)
		}
	}
}

func TestOneStoreAtATimeHasTheOutput(t *testing.T) {
	t.Parallel()
	url := server.DB(t)
	open := func() *redisbroker.Broker { return open(t, redisbroker.Options{URL: url, Clock: broker.SystemClock()}) }
	b, other := &bundle{T: t, broker: open(), redis: server.Conn(t, url)}, open()
	second := func() bool {
		held, err := other.HoldOutput(t.Context(), "second")
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	if !b.hold("first") || second() || !b.hold("first") {
		t.Error("it is not the first's alone")
	}
	if ms := b.do("PTTL", "distro:mover").(int64); ms < 10_000 || ms > 15_000 {
		t.Errorf("a dead one is waited for %d ms", ms)
	}
	if err := other.ReleaseOutput(t.Context(), "second"); err != nil || second() {
		t.Errorf("another one gave it away: %v", err)
	}
	if err := b.broker.ReleaseOutput(t.Context(), "first"); err != nil || !second() || b.hold("first") {
		t.Errorf("it was not given on: %v", err)
	}
}

func TestWhatWaitsOfOneJobIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold("s")
	const size = 60_000
	chunk := func(job, run string) output.Chunk {
		return output.Chunk{JobID: job, Run: run, Text: noise(size)}
	}
	got := b.ship(chunk("a", "01"), chunk("a", "01"), chunk("a", "01"), chunk("a", "02"), chunk("a", "01"),
		output.Chunk{JobID: "a", Run: "01", Text: []byte("small"), End: true}, chunk("b", "03"))
	const taken, full = output.ShippedTaken, output.ShippedFull
	if diff := cmp.Diff([]output.Shipped{taken, taken, taken, taken, full, full, taken}, got); diff != "" {
		t.Errorf("what follows a chunk that is refused is refused too (-want +got):\n%s", diff)
	}
	arrived := b.receive(5)
	b.stored(arrived[:4]...)
	if got := b.ship(chunk("a", "01")); got[0] != taken {
		t.Errorf("with room again: %v", got)
	}
}

func TestWhatWaitsInAllIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold("s")
	text, taken := noise(60_000), 0
	for i := 0; ; i++ {
		var part []output.Chunk
		for j := range 8 {
			part = append(part, output.Chunk{JobID: fmt.Sprint(i, "-", j), Run: "01", Text: text})
		}
		n := 0
		for _, s := range b.ship(part...) {
			if s == output.ShippedTaken {
				n++
			}
		}
		if taken += n; n < len(part) {
			break
		}
	}
	if taken*60_000 > 64<<20 || taken*61_000 < 64<<20 {
		t.Errorf("%d bytes wait", taken*60_000)
	}
	late := output.Chunk{JobID: "late", Run: "01", Text: text}
	if got := b.ship(late); got[0] != output.ShippedFull || !b.arriving("late") {
		t.Errorf("%v, and its output is known to come: %t", got, b.arriving("late"))
	}
}

func TestUnreadOutputGoesAndWhatIsNoChunkToo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold("s")
	for i := range 6 { // of 1970
		b.do("XADD", "distro:output", fmt.Sprintf("%d-1", i+1), "j", "old", "r", "01", "s", "100", "t", "rx")
	}
	b.do("HSET", "distro:unread", "all", "600", "job:old", "600")
	fresh := output.Chunk{JobID: "a", Run: "0011", Text: []byte("x\n")}
	b.ship(fresh)
	if n := b.do("HGET", "distro:unread", "job:old"); n != "200" {
		t.Errorf("%v bytes of old output are left after one call", n)
	}
	b.do("XADD", "distro:output", "*", "unknown", "field")
	b.do("XADD", "distro:output", "*", "j", "bad", "r", "01", "s", "5", "t", "dxxxx")
	b.do("XADD", "distro:output", "*", "j", "bad", "r", "01", "t", "?")
	b.ship(fresh)
	if diff := cmp.Diff([]output.Chunk{fresh, fresh}, chunks(b.receive(2))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := b.do("XLEN", "distro:output"); n != int64(2) || b.arriving("old") || b.arriving("bad") {
		t.Errorf("%v entries are left", n)
	}
	if all := b.do("HGET", "distro:unread", "all"); all == "0" || strings.HasPrefix(all.(string), "-") {
		t.Errorf("%v bytes are left", all)
	}
}

func TestAnEmptyStreamIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold("s")
	arrived := make(chan []output.Arrival, 1)
	go func() {
		defer close(arrived)
		for t.Context().Err() == nil {
			list, err := b.broker.ReceiveOutput(t.Context(), "")
			if err != nil {
				t.Error(err)
			}
			if len(list) > 0 {
				arrived <- list
				return
			}
		}
	}()
	b.ship(output.Chunk{JobID: "a", Run: "0011", Text: []byte("x\n")})
	if list := <-arrived; len(list) != 1 || list[0].JobID != "a" {
		t.Errorf("%+v", list)
	}
}

// BenchmarkShipOutput ships the largest call, and stores it.
func BenchmarkShipOutput(b *testing.B) {
	queue := open(b, redisbroker.Options{URL: server.DB(b), Clock: broker.SystemClock()})
	if _, err := queue.HoldOutput(b.Context(), "s"); err != nil {
		b.Fatal(err)
	}
	var list []output.Chunk
	for i := range 8 {
		list = append(list, output.Chunk{JobID: fmt.Sprint(i), Run: "01", Text: noise(64 << 10)})
	}
	b.SetBytes(8 * 64 << 10)
	for b.Loop() {
		if _, err := queue.ShipOutput(b.Context(), list); err != nil {
			b.Fatal(err)
		}
		arrived, err := queue.ReceiveOutput(b.Context(), "")
		if err != nil || len(arrived) != len(list) {
			b.Fatal(len(arrived), err)
		}
		if err := queue.StoredOutput(b.Context(), arrived); err != nil {
			b.Fatal(err)
		}
	}
}

package brokertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// RunModel compares a broker with the Model: the same random calls, lost
// replies among them, must have the same answers and leave the same behind.
func (h Harness) RunModel(t *testing.T) {
	var first string // what a failure that depends on time does not say again when it is repeated
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the first difference: %s", first)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		clock := NewClock()
		m := &machine{
			T: t, first: &first, clock: clock, step: cmp.Or(h.Grain, time.Second/2), model: NewModel(clock, h.FeedKeep), broker: h.Open(t, clock),
			held: map[string][]broker.Claim{}, began: time.Now(),
		}
		t.Repeat(map[string]func(*rapid.T){
			"enqueue":  m.enqueue,
			"exchange": m.exchange,
			"work":     m.work,
			"act":      m.act,
			"pause":    m.pause,
			"pass":     m.pass,
			"empty":    m.empty,
			"":         m.compare,
		})
	})
}

// machine drives two brokers through the same calls.
type machine struct {
	*rapid.T
	first         *string
	clock         *Clock
	began         time.Time     // by the real clock
	step          time.Duration // time passes in multiples of it
	model, broker broker.Broker
	modelCursor   string
	brokerCursor  string
	beat          uint64
	tokens        int
	held          map[string][]broker.Claim // what workers believe to hold, by name
	old           []broker.Claim            // some of what they held once
}

const (
	machineJobs = 10
	shortestTTL = 4 * time.Second // of the jobs that enqueue draws
)

func machineIDs() []string {
	list := make([]string, machineJobs)
	for i := range list {
		list[i] = fmt.Sprint("j", i)
	}
	return list
}

// same fails the test when the answers to a call differ.
func (m *machine) same(what string, want, got any) {
	m.Helper()
	opts := gocmp.Options{
		unordered(), cmpopts.EquateEmpty(), cmpopts.EquateErrors(),
		cmpopts.IgnoreFields(broker.Swept{}, "More"),
		cmpopts.IgnoreFields(distro.Change{}, "Cursor"),
		// Why a worker counts as lost is told in the broker's own words.
		gocmp.FilterPath(func(p gocmp.Path) bool { return p.Last().String() == ".Message" }, gocmp.Ignore()),
	}
	if diff := gocmp.Diff(want, got, opts); diff != "" {
		if time.Since(m.began) > shortestTTL {
			m.Skip("the machine is so slow that a store with a clock of its own may have let jobs expire")
		}
		m.fail("%s (-model +broker):\n%s", what, diff)
	}
}

// fail ends the case.
func (m *machine) fail(format string, args ...any) {
	m.Helper()
	*m.first = cmp.Or(*m.first, fmt.Sprintf(format, args...))
	m.Fatalf(format, args...)
}

// both makes one call to both brokers and compares the answers.
func both[A any](m *machine, what string, call func(broker.Broker) (A, error)) A {
	m.Helper()
	want, err := call(m.model)
	if err != nil {
		m.fail("%s: model: %v", what, err)
	}
	got, err := call(m.broker)
	if err != nil {
		m.fail("%s: %v", what, err)
	}
	m.same(what, want, got)
	return want
}

func (m *machine) enqueue(t *rapid.T) {
	delays := []time.Duration{0, 0, 0, -time.Second, time.Second, 3 * time.Second, time.Hour}
	ttls := []time.Duration{distro.Forever, distro.Forever, 0, 5 * time.Second}
	var jobs []distro.Job
	for range rapid.IntRange(1, 3).Draw(t, "jobs") {
		function := rapid.SampledFrom([]string{"m.f", "m.g"}).Draw(t, "function")
		jobs = append(jobs, distro.Job{
			ID:          rapid.SampledFrom(machineIDs()).Draw(t, "id"),
			Queue:       rapid.SampledFrom([]string{"q", "r"}).Draw(t, "queue"),
			Timeout:     time.Minute,
			Function:    function,
			Payload:     callOf(function),
			Fingerprint: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "fingerprint"),
			DueAt:       m.clock.Now().Add(rapid.SampledFrom(delays).Draw(t, "delay")),
			TTL:         rapid.SampledFrom([]time.Duration{0, 0, 0, 4 * time.Second}).Draw(t, "ttl"),
			ResultTTL:   rapid.SampledFrom(ttls).Draw(t, "result ttl"),
			FailureTTL:  rapid.SampledFrom(ttls).Draw(t, "failure ttl"),
			RetriesLeft: rapid.IntRange(0, 2).Draw(t, "retries"),
			RetryIntervals: rapid.SampledFrom([][]time.Duration{
				nil, {time.Second}, {time.Second, 5 * time.Second},
			}).Draw(t, "intervals"),
		})
	}
	both(m, "enqueue", func(b broker.Broker) ([]broker.EnqueueResult, error) { return b.Enqueue(t.Context(), jobs) })
}

// exchange says anything, sensible or not.
func (m *machine) exchange(t *rapid.T) {
	name := rapid.SampledFrom([]string{"w", "v"}).Draw(t, "worker")
	some := append(slices.Concat(slices.Collect(maps.Values(m.held))...), m.old...)
	slices.SortFunc(some, compareClaims)
	pick := func(label string) []broker.Claim {
		if len(some) == 0 {
			return nil
		}
		return rapid.SliceOfN(rapid.SampledFrom(some), 0, 3).Draw(t, label)
	}
	req := broker.ExchangeRequest{
		Begin: pick("begin"), Return: pick("return"), Settle: ends(t, pick("settle")...),
		Leave: rapid.IntRange(0, 9).Draw(t, "leave") == 0,
	}
	if rapid.Bool().Draw(t, "reconcile") {
		req.Reconcile, req.Held = true, append(pick("held"), m.held[name]...)
	}
	m.say(t, name, req)
}

// ends are settlements of one outcome, some of which ask for another attempt.
func ends(t *rapid.T, claims ...broker.Claim) []broker.Settlement {
	outcomes := []distro.Outcome{
		distro.OutcomeFinished, distro.OutcomeFailed, distro.OutcomeFailed, distro.OutcomeStopped, distro.OutcomeLost,
	}
	list := settlements(rapid.SampledFrom(outcomes).Draw(t, "outcome"), claims...)
	for i := range list {
		if list[i].Result.Outcome == distro.OutcomeFailed {
			list[i].Result.Again = rapid.SampledFrom([]*distro.Again{
				nil, nil, {}, {Front: true}, {Delay: 3 * time.Second},
			}).Draw(t, "again")
		}
	}
	return list
}

func compareClaims(a, b broker.Claim) int {
	return slices.Compare([]string{a.JobID, a.Token}, []string{b.JobID, b.Token})
}

// work does what a worker does: it begins and settles what it holds.
func (m *machine) work(t *rapid.T) {
	name := rapid.SampledFrom([]string{"w", "v"}).Draw(t, "worker")
	held := m.held[name]
	n := rapid.IntRange(0, len(held)).Draw(t, "begin")
	k := rapid.IntRange(0, n).Draw(t, "settle")
	m.say(t, name, broker.ExchangeRequest{
		Begin: held[:n], Settle: ends(t, held[:k]...),
	})
	if k > 0 {
		m.old = append(m.old, held[:k]...)
		m.old = m.old[max(len(m.old)-6, 0):]
		m.held[name] = slices.Clone(held[k:])
	}
}

// say makes an Exchange that also wants jobs. Its reply may get lost.
func (m *machine) say(t *rapid.T, name string, req broker.ExchangeRequest) {
	m.beat++
	req.Worker, req.Beat = distro.Worker{Name: name}, m.beat
	req.Want.Queues = rapid.SampledFrom([][]string{{"q", "r"}, {"r", "q"}, {"q"}, {"none"}}).Draw(t, "queues")
	req.Want.Begun = rapid.IntRange(0, 3).Draw(t, "begun")
	for range rapid.IntRange(0, 3).Draw(t, "want") {
		m.tokens++
		req.Want.Tokens = append(req.Want.Tokens, fmt.Sprint("t", m.tokens))
	}
	reply := both(m, "exchange", func(b broker.Broker) (broker.ExchangeReply, error) { return b.Exchange(t.Context(), req) })
	if req.Leave {
		delete(m.held, name)
		return
	}
	if rapid.IntRange(0, 4).Draw(t, "lost reply") > 0 {
		m.held[name] = append(m.held[name], refs(reply.Claims)...)
	}
	m.held[name] = slices.DeleteFunc(m.held[name], func(c broker.Claim) bool { return slices.Contains(reply.Lost, c) })
}

func (m *machine) act(t *rapid.T) {
	action := rapid.SampledFrom([]broker.Action{
		broker.ActionCancel, broker.ActionRequeue, broker.ActionDelete, broker.ActionRunFirst, broker.ActionStop,
	}).Draw(t, "action")
	list := rapid.SliceOfN(rapid.SampledFrom(machineIDs()), 1, 3).Draw(t, "ids")
	both(m, string(action), func(b broker.Broker) ([]error, error) { return b.Act(t.Context(), action, list) })
}

func (m *machine) pause(t *rapid.T) {
	queue := rapid.SampledFrom([]string{"", "q", "r"}).Draw(t, "queue")
	paused := rapid.IntRange(0, 3).Draw(t, "paused") == 0
	both(m, "pause", func(b broker.Broker) (any, error) { return nil, b.SetPaused(t.Context(), queue, paused) })
}

// pass lets time pass, sometimes long enough for workers to be lost.
func (m *machine) pass(t *rapid.T) {
	for range rapid.SampledFrom([]int{1, 1, 2, 7}).Draw(t, "beats") {
		m.clock.Advance(m.step * time.Duration(rapid.IntRange(1, 4).Draw(t, "steps")))
		both(m, "sweep", func(b broker.Broker) (broker.Swept, error) { return b.Sweep(t.Context(), 100) })
	}
}

func (m *machine) empty(t *rapid.T) {
	queue := rapid.SampledFrom([]string{"q", "r"}).Draw(t, "queue")
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	both(m, "empty", func(b broker.Broker) (int, error) {
		for sum, cursor := 0, ""; ; {
			n, next, err := b.Empty(t.Context(), queue, cursor, limit)
			sum += n
			if cursor = next; err != nil || next == "" {
				return sum, err
			}
		}
	})
}

// compare looks at all there is to see.
func (m *machine) compare(t *rapid.T) {
	both(m, "get", func(b broker.Broker) ([]distro.Job, error) { return b.Get(t.Context(), machineIDs()) })
	both(m, "counts", func(b broker.Broker) (broker.Counts, error) { return b.Counts(t.Context()) })
	both(m, "workers", func(b broker.Broker) ([]distro.Worker, error) { return b.Workers(t.Context()) })
	filters := []broker.ListQuery{
		{}, {Queue: "q"}, {Function: "m.f"}, {Status: distro.StatusQueued}, {Queue: "r", Status: distro.StatusFailed},
		{Queue: "q", Function: "m.g"},
	}
	q := filters[m.tokens%len(filters)]
	q.Limit = 3
	both(m, "list", func(b broker.Broker) ([]distro.Job, error) {
		var all []distro.Job
		for q := q; ; {
			page, err := b.List(t.Context(), q)
			all = append(all, page.Jobs...)
			if q.Cursor = page.Next; err != nil || page.Next == "" {
				return all, err
			}
		}
	})
	m.places(t)
	m.same("changes", m.news(t, m.model, &m.modelCursor), m.news(t, m.broker, &m.brokerCursor))
}

// places compares a list, whole and by place.
func (m *machine) places(t *rapid.T) {
	statuses := []distro.Status{distro.StatusQueued, distro.StatusStarted, distro.StatusScheduled, distro.StatusCanceled}
	q := broker.PlaceQuery{Queue: "q", Status: statuses[m.tokens%len(statuses)], Limit: 2}
	both(m, "places of "+string(q.Status), func(b broker.Broker) ([]string, error) {
		var all []string
		for {
			page, err := b.Places(t.Context(), q)
			for _, p := range page.Places {
				all = append(all, p.Job.ID)
			}
			if q.Offset += q.Limit; err != nil || len(page.Places) < q.Limit {
				if q.Offset = 0; q.Status != distro.StatusQueued { // the order is the store's own
					slices.Sort(all)
				}
				return append(all, fmt.Sprint(page.Total)), err
			}
		}
	})
}

// news are the new entries of a feed, by job: only what concerns one job stands
// in an order.
func (m *machine) news(t *rapid.T, b broker.Broker, cursor *string) map[string][]distro.Change {
	byJob := map[string][]distro.Change{}
	for {
		list, err := b.Changes(t.Context(), *cursor, broker.MaxPage)
		if err != nil {
			m.fail("changes: %v", err)
		}
		if len(list) == 0 {
			return byJob
		}
		for _, c := range list {
			byJob[c.JobID] = append(byJob[c.JobID], c)
		}
		*cursor = list[len(list)-1].Cursor
	}
}

package sqlitebroker

import (
	"strconv"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// rowColumns are the columns of a row, in the order of dest, where rows come
// from sourceOfRows: what a claim says goes before what its job says.
const (
	rowColumns = `jobs.seq, id, jobs.queue, function, iif(begun, 4, status), ifnull(token, ''), ifnull(holder, ''),
		ifnull(stop, 0), jobs.pos, created_at, jobs.enqueued_at, due_at, iif(begun, begun_at, jobs.started_at), jobs.ended_at,
		expires_at, ifnull(claims.attempt, jobs.attempt), retries_left, asked, iif(begun, holder, jobs.worker), timeout, ttl,
		result_ttl, failure_ttl, retry_intervals, fingerprint, "trigger", caller, serializer, payload_size`
	sourceOfRows = `jobs LEFT JOIN claims ON claims.seq = jobs.seq`
)

// row is a job without what may be large.
type row struct {
	jobRef
	status                       int
	token, holder                string // of its claim
	stop                         bool
	pos                          int64
	createdAt, enqueuedAt, dueAt int64
	startedAt, endedAt           int64
	expiresAt                    int64
	attempt, retriesLeft, asked  int
	worker                       string
	timeout, ttl                 time.Duration
	resultTTL, failureTTL        time.Duration
	retryIntervals               string
	fingerprint, trigger, caller string
	serializer                   string
	payloadSize                  int64
}

// dest is where a row is scanned to.
func (r *row) dest() []any {
	return []any{
		&r.seq, &r.id, &r.queue, &r.function, &r.status, &r.token, &r.holder, &r.stop, &r.pos, &r.createdAt, &r.enqueuedAt, &r.dueAt,
		&r.startedAt, &r.endedAt, &r.expiresAt, &r.attempt, &r.retriesLeft, &r.asked, &r.worker, &r.timeout, &r.ttl, &r.resultTTL,
		&r.failureTTL, &r.retryIntervals, &r.fingerprint, &r.trigger, &r.caller, &r.serializer, &r.payloadSize,
	}
}

// job is the row as the contract knows it.
func (r *row) job(n *names) distro.Job {
	return distro.Job{
		ID:             r.id,
		Queue:          n.name(r.queue),
		Function:       n.name(r.function),
		Payload:        distro.Payload{Serializer: r.serializer},
		Trigger:        r.trigger,
		Caller:         r.caller,
		Fingerprint:    r.fingerprint,
		Status:         statusWord(r.status),
		CreatedAt:      moment(r.createdAt),
		EnqueuedAt:     moment(r.enqueuedAt),
		DueAt:          moment(r.dueAt),
		StartedAt:      moment(r.startedAt),
		EndedAt:        moment(r.endedAt),
		Timeout:        r.timeout,
		TTL:            r.ttl,
		ResultTTL:      r.resultTTL,
		FailureTTL:     r.failureTTL,
		RetriesLeft:    r.retriesLeft,
		RetryIntervals: parseIntervals(r.retryIntervals),
		Asked:          r.asked,
		Attempt:        r.attempt,
		Worker:         r.worker,
	}
}

// claim is the claim that there is on the row's job.
func (r *row) claim() *claim {
	return &claim{
		jobRef: r.jobRef, token: r.token, holder: r.holder,
		begun: r.status == started, stop: r.stop, pos: r.pos, attempt: r.attempt, startedAt: r.startedAt, enqueuedAt: r.enqueuedAt,
		retriesLeft: r.retriesLeft, asked: r.asked, retryIntervals: r.retryIntervals,
		ttl: r.ttl, resultTTL: r.resultTTL, failureTTL: r.failureTTL,
	}
}

// micros is t as it is stored.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// microsAfter is the first stored time that is not before t: what is due at t
// must not be early by a fraction of a microsecond.
func microsAfter(t time.Time) int64 {
	us := micros(t)
	if t.Nanosecond()%int(time.Microsecond) != 0 {
		us++
	}
	return us
}

// moment is the time stored as us.
func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// after is the stored time d after the stored time us.
func after(us int64, d time.Duration) int64 {
	return us + (int64(d)+int64(time.Microsecond)-1)/int64(time.Microsecond)
}

// waitsUntil is when a job that was queued at us has waited too long; 0: never.
func waitsUntil(us int64, ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return after(us, ttl)
}

// formatIntervals makes the text of retry intervals.
func formatIntervals(list []time.Duration) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	for i, d := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatInt(int64(d), 10))
	}
	return b.String()
}

func parseIntervals(s string) []time.Duration {
	var list []time.Duration
	for f := range strings.FieldsSeq(s) {
		n, _ := strconv.ParseInt(f, 10, 64) // written by formatIntervals
		list = append(list, time.Duration(n))
	}
	return list
}

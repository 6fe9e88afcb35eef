package redisbroker

import (
	"strconv"
	"strings"

	"github.com/distro-orchestrator/distro/internal/broker"
)

// Keys of RQ. docs/rq-wire.md says who writes what into them.
const (
	keyQueues     = "rq:queues"            // set: full keys of all queues
	keyQueue      = "rq:queue:"            // + queue, list: waiting jobs, the front on the left
	keyMoving     = ":intermediate"        // behind a queue's key, list: popped by a stock worker and not yet begun
	keyFirstSeen  = ":first_seen:"         // behind that, + job: when it was first seen stuck
	keyJob        = "rq:job:"              // + job, hash
	keyDependents = ":dependents"          // behind a job's key, set: jobs that wait for it
	keyParents    = "rq:job::"             // + job + keyNeeds, set: jobs it waits for (two colons)
	keyNeeds      = ":dependencies"        //
	keyResults    = "rq:results:"          // + job, stream
	keyStarted    = "rq:wip:"              // + queue, zset: jobs that run, by when they count as abandoned
	keyFinished   = "rq:finished:"         // + queue, zset, by expiry
	keyFailed     = "rq:failed:"           // + queue, zset, by expiry; stopped jobs too
	keyDeferred   = "rq:deferred:"         // + queue, zset
	keyScheduled  = "rq:scheduled:"        // + queue, zset, by due time
	keyCanceled   = "rq:canceled:"         // + queue, zset
	keyWorkers    = "rq:workers"           // set: full keys of all workers; + ":" + queue: of those that listen to it
	keyWorker     = "rq:worker:"           // + worker, hash
	keyCommands   = "rq:pubsub:"           // + worker, channel
	keySuspended  = "rq:suspended"         // exists: no worker takes jobs
	keyLock       = "rq:scheduler-lock:"   // + queue: who schedules it
	keyCleaning   = "rq:clean_registries:" // + queue: somebody does maintenance
	keyGroup      = "rq:group:"            // + group, set of jobs (RQ 2)
	keyExecutions = "rq:executions:"       // + job, zset (RQ 2)
)

// Keys of Distro's own.
const (
	ownFeed    = "distro:feed"       // stream: the change feed
	ownReader  = "distro:reader"     // exists while somebody reads the feed
	ownSeq     = "distro:seq"        // counter: numbers jobs, claims and places at the front
	ownPaused  = "distro:paused"     // set of queues
	ownWorkers = "distro:workers"    // set of worker processes
	ownWorker  = "distro:worker:"    // + process, hash: beat, instance, seen, info
	ownSlots   = "distro:slots:"     // + process, set: the RQ workers it shows itself as
	ownClaims  = "distro:claims:"    // + process, hash: token → job
	ownStops   = "distro:stops:"     // + process, hash: token → job that somebody wants stopped
	ownHeld    = "distro:held:"      // + queue, zset: jobs claimed and not begun, by number of the claim
	ownTTL     = "distro:ttl"        // zset: queue, a zero byte, job that waits no longer than until, microseconds
	ownWalks   = "distro:walks"      // zset: lists that Empty walks over, by when it was last seen, seconds
	ownWalk    = "distro:walk:"      // + walk + ":" + queue, list: what is left of one
	ownRelease = "distro:release"    // hash: job whose dependents were put aside → the status that releases them
	ownAside   = "distro:release:"   // + job, set: these dependents
	ownLocks   = "distro:schedulers" // set: values of Distro's own scheduler locks
	ownLock    = "distro:scheduler:" // + value: exists while that scheduler is alive
	ownNothing = "distro:nothing"    // is never there
	ownWake    = "distro:wake:"      // + database, channel: hints of what Wait waits for
	ownOutput  = "distro:output"     // stream: output of jobs that no orchestrator has stored yet
	ownUnread  = "distro:unread"     // hash: bytes of it in "all" and by "job:" + job
	ownListens = "distro:listens"    // exists while somebody reads output
	ownMover   = "distro:mover"      // the store that output goes to
)

// Fields of Distro's own in the hash of a job. RQ ignores and keeps them.
const (
	fieldSeq     = "distro_seq"     // orders jobs created in one microsecond
	fieldPrint   = "distro_print"   // Job.Fingerprint
	fieldTrigger = "distro_trigger" // Job.Trigger
	fieldCaller  = "distro_caller"  // Job.Caller
	fieldDue     = "distro_due"     // microseconds: due time, which the registry has rounded up
	fieldAttempt = "distro_attempt" // ordinal of the last begun attempt
	fieldClaim   = "distro_claim"   // token, space, process: while it is claimed
	fieldNumber  = "distro_number"  // number of the claim
	fieldHeld    = "distro_held"    // enqueued_at when it was claimed and not begun
	fieldFront   = "distro_front"   // number of its place at the front, if it was put there
	fieldUntil   = "distro_until"   // microseconds: how long it might have waited, while it runs
	fieldStop    = "distro_stop"    // 1: somebody wants it stopped
	fieldSettled = "distro_settled" // token, space, outcome: of the last settlement
	fieldResult  = "distro_result"  // JSON of wireResult: what RQ's result does not tell

	// With a number behind it, from 0 below broker.MaxEarlier: what fieldSettled
	// and fieldResult held, with a space between, of an attempt of that remainder.
	fieldEarlier = "distro_earlier_"
)

// entryToken is Distro's own field in the entries of rq:results: the token of
// the claim of the attempt. RQ ignores it.
const entryToken = "distro_token"

// prelude declares the names above for the scripts.
func prelude() string {
	names := [][2]string{
		{"QUEUES", keyQueues}, {"QUEUE", keyQueue}, {"MOVING", keyMoving}, {"FIRSTSEEN", keyFirstSeen}, {"JOB", keyJob},
		{"DEPENDENTS", keyDependents}, {"PARENTS", keyParents}, {"NEEDS", keyNeeds}, {"RESULTS", keyResults},
		{"STARTED", keyStarted}, {"FINISHED", keyFinished}, {"FAILED", keyFailed}, {"DEFERRED", keyDeferred},
		{"SCHEDULED", keyScheduled}, {"CANCELED", keyCanceled}, {"WORKERS", keyWorkers}, {"WORKER", keyWorker},
		{"COMMANDS", keyCommands}, {"SUSPENDED", keySuspended}, {"LOCK", keyLock}, {"CLEANING", keyCleaning},
		{"GROUP", keyGroup}, {"EXECUTIONS", keyExecutions},
		{"FEED", ownFeed}, {"READER", ownReader}, {"SEQ", ownSeq}, {"PAUSED", ownPaused}, {"PROCESSES", ownWorkers},
		{"PROCESS", ownWorker}, {"SLOTS", ownSlots}, {"CLAIMS", ownClaims}, {"STOPS", ownStops}, {"HELD", ownHeld}, {"TTL", ownTTL}, {"WALKS", ownWalks},
		{"WALK", ownWalk}, {"RELEASE", ownRelease}, {"RELEASING", ownAside}, {"SCHEDULERS", ownLocks}, {"SCHEDULER", ownLock},
		{"NOTHING", ownNothing},
		{"OUTPUT", ownOutput}, {"UNREAD", ownUnread}, {"LISTENER", ownListens}, {"MOVER", ownMover},
		{"F_SEQ", fieldSeq}, {"F_PRINT", fieldPrint}, {"F_DUE", fieldDue}, {"F_ATTEMPT", fieldAttempt},
		{"F_CLAIM", fieldClaim}, {"F_HELD", fieldHeld}, {"F_NUMBER", fieldNumber}, {"F_FRONT", fieldFront}, {"F_STOP", fieldStop}, {"F_UNTIL", fieldUntil},
		{"F_SETTLED", fieldSettled}, {"F_RESULT", fieldResult}, {"F_EARLIER", fieldEarlier}, {"E_TOKEN", entryToken},
	}
	var b strings.Builder
	for _, n := range names {
		b.WriteString("local " + n[0] + "='" + n[1] + "'\n")
	}
	b.WriteString("local MAX_EARLIER=" + strconv.Itoa(broker.MaxEarlier) + "\n")
	return b.String()
}

// wantedFields are the fields of a job that a worker needs. exchange.lua reads
// the first five itself.
func wantedFields() []string {
	return []string{
		"status", "data", "ttl", fieldAttempt, "enqueued_at",
		"created_at", "started_at", "ended_at", "origin", "worker_name", "timeout", "result_ttl", "failure_ttl",
		"retries_left", "retry_intervals", "number_of_retries",
		"success_callback_name", "success_callback_timeout", "failure_callback_name", "failure_callback_timeout",
		"stopped_callback_name", "stopped_callback_timeout", fieldPrint, fieldDue, fieldTrigger, fieldCaller,
	}
}

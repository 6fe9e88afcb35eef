package redisbroker

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/distro-orchestrator/distro"
)

// source is a list or sorted set of Redis that holds IDs of jobs.
type source struct {
	status distro.Status // of its jobs; those of the failed registry may be stopped too
	queue  string
	key    string
	list   bool // the newest job on the right; else a sorted set
}

// statusOrder is the order of sources, those first where something happens.
func statusOrder() []distro.Status {
	return []distro.Status{
		distro.StatusStarted, distro.StatusQueued, distro.StatusScheduled, distro.StatusDeferred,
		distro.StatusFailed, distro.StatusFinished, distro.StatusCanceled,
	}
}

// home is the status of the sources where jobs of a status stand; empty for a
// status that is unknown here.
func home(status distro.Status) distro.Status {
	switch {
	case status == distro.StatusStopped:
		return distro.StatusFailed
	case status.Valid():
		return status
	}
	return ""
}

// sourcesOf are the sources of a queue, of all statuses where status is empty.
// walks are the lists that Empty walks over, by queue.
func sourcesOf(queue string, status distro.Status, walks map[string][]string) []source {
	var list []source
	add := func(of distro.Status, isList bool, keys ...string) {
		if status != "" && home(status) != of {
			return
		}
		for _, key := range keys {
			list = append(list, source{status: of, queue: queue, key: key, list: isList})
		}
	}
	add(distro.StatusStarted, false, keyStarted+queue)
	add(distro.StatusQueued, true, keyQueue+queue, keyQueue+queue+keyMoving)
	add(distro.StatusQueued, false, ownHeld+queue)
	add(distro.StatusQueued, true, walks[queue]...)
	add(distro.StatusScheduled, false, keyScheduled+queue)
	add(distro.StatusDeferred, false, keyDeferred+queue)
	add(distro.StatusFailed, false, keyFailed+queue)
	add(distro.StatusFinished, false, keyFinished+queue)
	add(distro.StatusCanceled, false, keyCanceled+queue)
	return list
}

// compareSources orders sources by status, queue and key.
func compareSources(a, b source) int {
	order := statusOrder()
	if d := slices.Index(order, a.status) - slices.Index(order, b.status); d != 0 {
		return d
	}
	if d := strings.Compare(a.queue, b.queue); d != 0 {
		return d
	}
	return strings.Compare(a.key, b.key)
}

// known returns the queues that may hold jobs, in order, and the lists that
// Empty walks over, by queue.
func (b *Broker) known(ctx context.Context) (queues []string, walks map[string][]string, err error) {
	if queues, err = b.queueNames(ctx); err != nil {
		return nil, nil, err
	}
	names, err := readable(b.client.Do(ctx, b.client.B().Zrange().Key(ownWalks).Min("0").Max("-1").Build()).AsStrSlice())
	if err != nil {
		return nil, nil, err
	}
	walks = map[string][]string{}
	for _, name := range names {
		if _, queue, ok := strings.Cut(name, ":"); ok {
			walks[queue] = append(walks[queue], ownWalk+name)
		}
	}
	return queues, walks, nil
}

// executionPattern is what RQ 2 adds to the IDs in the started registry.
var executionPattern = regexp.MustCompile(`:[0-9a-f]{32}$`)

// jobID is the job that a member of the source stands for.
func (s source) jobID(member string) string {
	if s.status == distro.StatusStarted && len(member) > 33 {
		return member[:len(member)-len(executionPattern.FindString(member[len(member)-33:]))]
	}
	return member
}

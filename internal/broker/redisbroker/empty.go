package redisbroker

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/distro-orchestrator/distro"
)

// emptyStep bounds one step: others wait for no more than that.
const emptyStep = 32

// walkAbandoned is how long a walk rests until Sweep ends it for whoever began
// it and went away.
const walkAbandoned = 30 * time.Second

var walkPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Empty implements broker.Broker.
func (b *Broker) Empty(ctx context.Context, queue, cursor string, limit int) (int, string, error) {
	begins := cursor == ""
	if begins {
		cursor = randomHex(8)
	} else if !walkPattern.MatchString(cursor) {
		return 0, "", distro.Invalid("cursor", "not a cursor")
	}
	deleted, left, err := b.emptyOnce(ctx, queue, cursor, begins, min(limit, emptyStep))
	if err != nil || left == 0 {
		cursor = ""
	}
	return deleted, cursor, err
}

func (b *Broker) emptyOnce(ctx context.Context, queue, walk string, begins bool, limit int) (deleted, left int, err error) {
	a := b.begin(b.now(), 4)
	a.text(walk, queue)
	a.flag(begins)
	a.number(limit)
	reply, err := b.run(ctx, "empty", a)
	if err != nil {
		return 0, 0, fmt.Errorf("empty queue %q: %w", queue, err)
	}
	counts, err := reply.AsIntSlice()
	if err != nil || len(counts) != 2 {
		return 0, 0, malformed("empty", err)
	}
	return int(counts[0]), int(counts[1]), nil
}

// endWalks does a step of each walk that somebody began and left.
func (b *Broker) endWalks(ctx context.Context, limit int) (deleted int, err error) {
	before := b.now().Add(-walkAbandoned).Unix()
	walks, err := b.client.Do(ctx, b.client.B().Zrangebyscore().Key(ownWalks).Min("-inf").Max(fmt.Sprint(before)).Limit(0, 8).Build()).AsStrSlice()
	if err != nil {
		return 0, unavailable(err)
	}
	for _, name := range walks {
		walk, queue, _ := strings.Cut(name, ":")
		n, left, err := b.emptyOnce(ctx, queue, walk, false, min(limit, emptyStep))
		if err != nil {
			return deleted, err
		}
		deleted += n
		if left > 0 { // the next step must not wait again
			_ = b.client.Do(ctx, b.client.B().Zadd().Key(ownWalks).ScoreMember().ScoreMember(float64(before), name).Build()).Error()
		}
	}
	return deleted, nil
}

package redisbroker

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// StopWorker sends RQ's shutdown command to a worker of Distro or of RQ: it ends
// after the job it runs. heard is false where nobody listens, as when it is gone.
// Whether it obeys is not known.
func (b *Broker) StopWorker(ctx context.Context, name string) (heard bool, err error) {
	return b.command(ctx, name, `{"command": "shutdown"}`)
}

// KillHorse sends RQ's kill-horse command: what the worker runs is killed, all
// of it where the worker has several slots, and fails as by signal 9. heard is
// as StopWorker has it.
func (b *Broker) KillHorse(ctx context.Context, name string) (heard bool, err error) {
	return b.command(ctx, name, `{"command": "kill-horse"}`)
}

// command publishes a command to every RQ worker that a worker shows itself as.
func (b *Broker) command(ctx context.Context, name, message string) (heard bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	names, err := b.members(ctx, ownSlots+name)
	if err != nil {
		return false, fmt.Errorf("look up the slots of worker %q: %w", name, err)
	}
	if len(names) == 0 { // one of RQ's own
		names = []string{name}
	}
	commands := make(rueidis.Commands, len(names))
	for i, slot := range names {
		commands[i] = b.client.B().Publish().Channel(keyCommands + slot).Message(message).Build()
	}
	for _, answer := range b.client.DoMulti(ctx, commands...) {
		n, err := answer.AsInt64()
		if err != nil {
			return false, fmt.Errorf("send a command to worker %q: %w", name, unavailable(err))
		}
		heard = heard || n > 0
	}
	return heard, nil
}

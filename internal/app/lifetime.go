package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// part runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// together runs lead, and beside it the parts that it needs, which end when
// it has ended. When one of them fails, all end.
func together(intake, work context.Context, lead func(intake, work context.Context) error, beside ...part) error {
	serve, stop := context.WithCancelCause(context.WithoutCancel(work))
	defer stop(nil)
	intake, cancel := context.WithCancel(intake)
	defer cancel()
	work, kill := context.WithCancel(work)
	defer kill()
	failed := func(name string, err error) {
		if err != nil {
			stop(fmt.Errorf("%s: %w", name, err))
			cancel()
			kill()
		}
	}
	var running sync.WaitGroup
	for _, s := range beside {
		running.Go(func() { failed(s.name, s.run(serve)) })
	}
	failed("worker", lead(intake, work))
	stop(nil)
	running.Wait()
	if err := context.Cause(serve); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// closers undo what was opened, the last step first.
type closers []closer

// closer is a named step of the teardown.
type closer struct {
	name  string
	close func() error
}

func (c *closers) add(name string, step func() error) {
	*c = append(*c, closer{name, step})
}

func (c *closers) close() error {
	var errs []error
	for len(*c) > 0 {
		last := (*c)[len(*c)-1]
		*c = (*c)[:len(*c)-1]
		if err := last.close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", last.name, err))
		}
	}
	return errors.Join(errs...)
}

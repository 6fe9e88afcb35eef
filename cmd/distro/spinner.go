package main

import (
	"fmt"
	"sync"
	"time"
)

// spin shows on a terminal's stderr that something is waited for, until stop
// is called, which takes the line away. Elsewhere it shows nothing.
func (con *console) spin(label string) (stop func()) {
	if !con.errTerminal {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		start := con.now()
		ticker := time.NewTicker(120 * time.Millisecond)
		defer ticker.Stop()
		for frames := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"); ; frames = append(frames[1:], frames[0]) {
			fmt.Fprintf(con.err, "\r%c %s %s\x1b[K", frames[0], clean(label), con.dim(span(con.now().Sub(start))))
			select {
			case <-ticker.C:
			case <-done:
				fmt.Fprint(con.err, "\r\x1b[K")
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

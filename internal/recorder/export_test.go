package recorder

import "context"

// RecordStock looks once and records what is found.
func (r *Recorder) RecordStock(ctx context.Context) error {
	look, err := r.opts.Stock.Look(ctx)
	if err != nil {
		return err
	}
	w := &stockWatch{Recorder: r}
	return w.recordStock(ctx, look.Runs)
}

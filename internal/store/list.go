package store

import "context"

// Names are the texts that history holds of queues, workers, triggers, hosts and
// the like, in no order: those that match, limit of them at most.
func (s *Store) Names(ctx context.Context, match func(name string) bool, limit int) ([]string, error) {
	var found []string
	var name string
	err := s.db.Query(ctx, "SELECT name FROM distro_names", nil, []any{&name}, func() error {
		if len(found) < limit && match(name) {
			found = append(found, name)
		}
		return nil
	})
	return found, wrap(err, "list names")
}

// FunctionNames are the functions that history holds, each as a dotted module
// and the name within it: those that match, limit of them at most.
func (s *Store) FunctionNames(ctx context.Context, match func(module, name string) bool, limit int) ([][2]string, error) {
	var found [][2]string
	var module, name string
	err := s.db.Query(ctx, "SELECT module, name FROM distro_functions", nil, []any{&module, &name}, func() error {
		if len(found) < limit && match(module, name) {
			found = append(found, [2]string{module, name})
		}
		return nil
	})
	return found, wrap(err, "list functions")
}

package store

// Hurry makes searches go, on a history of a few executions, the ways that they
// go on a large one.
func (s *Store) Hurry(few, recent, window int) {
	s.effort = effort{few: few, recent: recent, window: int64(window)}
}

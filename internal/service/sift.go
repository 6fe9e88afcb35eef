package service

import "time"

// page is a part of a list.
type page[T any] struct {
	items   []T
	next    string // cursor of the next one; empty at the end
	partial bool   // it is shorter than it could be, as it took too long
}

// SearchTime is how long a search looks where little matches; then what it found
// has to do.
const SearchTime = 2 * time.Second

// siftPage is how much of a list is looked at, at least, where few items match.
const siftPage = 100

// sift makes a page of limit items that match, of a list whose pages hold others
// too, or of as many as it finds within some time.
func sift[T any](cursor string, limit int, within time.Duration, list func(cursor string, limit int) (page[T], error), match func([]T) ([]bool, error)) (page[T], error) {
	var found page[T]
	began := time.Now()
	for n := limit; ; {
		p, err := list(cursor, n)
		if err != nil {
			return page[T]{}, err
		}
		matches, err := match(p.items)
		if err != nil {
			return page[T]{}, err
		}
		if last := nth(matches, limit-len(found.items)); last < len(matches)-1 {
			n = last + 1 // a cursor stands behind whole pages only: this one has to end with the last match
			continue
		}
		for i, ok := range matches {
			if ok {
				found.items = append(found.items, p.items[i])
			}
		}
		cursor, found.next, found.partial = p.next, p.next, p.partial
		switch {
		case cursor == "" || p.partial || len(found.items) >= limit:
			return found, nil
		case time.Since(began) > within:
			found.partial = true
			return found, nil
		}
		n = max(limit-len(found.items), siftPage)
	}
}

// nth is where the nth true stands; the last index where there are not so many,
// or as many and none behind it.
func nth(values []bool, n int) int {
	at := len(values) - 1
	for i, v := range values {
		if !v {
			continue
		}
		if n--; n == 0 {
			at = i
		} else if n < 0 {
			return at
		}
	}
	return len(values) - 1
}

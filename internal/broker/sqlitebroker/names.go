package sqlitebroker

import (
	"context"
	"sync"
)

// names is the dictionary of queue and function names: rows and indexes hold
// small numbers. The writer adds; readers look up. A name is known here before
// any row that uses it is committed.
type names struct {
	mu   sync.RWMutex
	byID map[int64]string
	ids  map[string]int64
	last int64
}

func newNames() *names {
	return &names{byID: map[int64]string{}, ids: map[string]int64{}}
}

// name is the name of id.
func (n *names) name(id int64) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byID[id]
}

// id is the number of name; false when no job ever had it.
func (n *names) id(name string) (int64, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok := n.ids[name]
	return id, ok
}

func (n *names) add(id int64, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byID[id], n.ids[name] = name, id
	n.last = max(n.last, id)
}

func (n *names) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.byID)
	clear(n.ids)
	n.last = 0
}

// nameID returns the number of name, which it makes if there is none.
func (t *txn) nameID(ctx context.Context, name string) (int64, error) {
	if id, ok := t.w.names.id(name); ok {
		return id, nil
	}
	id := t.w.names.last + 1
	if _, err := t.exec(ctx, "INSERT INTO names (id, name) VALUES (?, ?)", id, name); err != nil {
		return 0, err
	}
	t.w.names.add(id, name)
	return id, nil
}

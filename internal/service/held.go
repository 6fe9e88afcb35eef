package service

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/distro-orchestrator/distro/internal/store"
)

// maxHeld is how many operations are remembered without a history; those that
// have not ended are kept beside.
const maxHeld = 100

// held are the Operations of a service without history: they end with it.
type held struct {
	mu   sync.Mutex
	list []store.Operation // in the order they were created
}

var _ Operations = (*held)(nil)

func isOver(o *store.Operation) bool {
	return o.State == store.OperationDone || o.State == store.OperationCanceled || o.State == store.OperationFailed
}

// find returns the operation of an ID, nil for none.
func (h *held) find(id string) *store.Operation {
	i := slices.IndexFunc(h.list, func(o store.Operation) bool { return o.ID == id })
	if i < 0 {
		return nil
	}
	return &h.list[i]
}

// CreateOperation implements Operations.
func (h *held) CreateOperation(_ context.Context, o store.Operation) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.find(o.ID) != nil {
		return store.ErrConflict
	}
	for i := 0; len(h.list) >= maxHeld && i < len(h.list); {
		if isOver(&h.list[i]) {
			h.list = slices.Delete(h.list, i, i+1)
		} else {
			i++
		}
	}
	h.list = append(h.list, o)
	return nil
}

// SaveOperation implements Operations.
func (h *held) SaveOperation(_ context.Context, o store.Operation) (store.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.find(o.ID)
	if kept == nil {
		return store.Operation{}, store.ErrNotFound
	}
	if !isOver(kept) {
		o.CancelRequested = kept.CancelRequested
		*kept = o
	}
	return *kept, nil
}

// CancelOperation implements Operations.
func (h *held) CancelOperation(_ context.Context, id string) (store.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.find(id)
	if kept == nil {
		return store.Operation{}, store.ErrNotFound
	}
	kept.CancelRequested = kept.CancelRequested || !isOver(kept)
	return *kept, nil
}

// Operation implements Operations.
func (h *held) Operation(_ context.Context, id string) (store.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.find(id)
	if kept == nil {
		return store.Operation{}, store.ErrNotFound
	}
	return *kept, nil
}

// Operations implements Operations.
func (h *held) Operations(_ context.Context, limit int) ([]store.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.list)
	slices.Reverse(list)
	return list[:min(len(list), max(limit, 1))], nil
}

// UnfinishedOperations implements Operations.
func (h *held) UnfinishedOperations(context.Context) ([]store.Operation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(h.list), func(o store.Operation) bool { return isOver(&o) })
	slices.SortStableFunc(list, func(a, b store.Operation) int { return cmp.Compare(a.CreatedAt.UnixNano(), b.CreatedAt.UnixNano()) })
	return list, nil
}

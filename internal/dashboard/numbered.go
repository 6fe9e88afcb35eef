package dashboard

import (
	"slices"
	"strconv"

	"github.com/distro-orchestrator/distro"
	"github.com/distro-orchestrator/distro/internal/broker"
)

// pageNumber is a page of a list whose pages have numbers; without a number it
// stands for those that are left out.
type pageNumber struct {
	Number string
	URL    string
	On     bool
}

// numbersAround is how many pages are offered on each side.
const numbersAround = 2

// fillNumbered lists jobs by their place in a list of one queue, where the
// address has the number of a page, as addresses that lead here from those of RQ
// Dashboard do. Such a page has exactly its number of lines, however deep.
func (s *Server) fillNumbered(r *request, view *jobsView, state string) (numbered bool, err error) {
	page, err := strconv.Atoi(r.query("page"))
	if err != nil || page < 1 || view.Queue == "" || state == "" || state == string(distro.StatusStopped) {
		return false, nil
	}
	limit, err := strconv.Atoi(r.query("limit"))
	if err != nil || limit < 1 || limit > broker.MaxPage {
		limit = jobsOnPage
	}
	q := broker.PlaceQuery{
		Queue: view.Queue, Status: distro.Status(state), Backward: r.query("order") == "dsc",
		Offset: (page - 1) * limit, Limit: limit,
	}
	found, err := s.opts.Service.Places(r.Context(), q)
	if err != nil {
		return true, err
	}
	if view.Rows, err = s.rowsOfPlaces(r, found.Places); err != nil {
		return true, err
	}
	address := func(n int) string {
		return query("/jobs", "q", view.Query, "limit", strconv.Itoa(limit), "order", r.query("order"), "page", strconv.Itoa(n))
	}
	last := (found.Total + limit - 1) / limit
	before := 0
	for _, n := range numbersFor(page, last) {
		if n > before+1 {
			view.Numbers = append(view.Numbers, pageNumber{})
		}
		before = n
		view.Numbers = append(view.Numbers, pageNumber{r.number(n), address(n), n == page})
	}
	if page < last {
		view.Next = address(page + 1)
	}
	return true, nil
}

// numbersFor are the pages that a page offers, in their order: the first, the
// last, and those around it, as far as they are there.
func numbersFor(page, last int) []int {
	var list []int
	for n := max(1, page-numbersAround); n <= min(last, page+numbersAround); n++ {
		list = append(list, n)
	}
	if last > 0 && (len(list) == 0 || list[0] > 1) {
		list = slices.Insert(list, 0, 1)
	}
	if last > 0 && list[len(list)-1] < last {
		list = append(list, last)
	}
	return list
}

// rowsOfPlaces are the lines of the entries of a list.
func (s *Server) rowsOfPlaces(r *request, places []broker.Place) ([]jobRow, error) {
	jobs := make([]distro.Job, len(places))
	for i := range places {
		jobs[i] = places[i].Job
	}
	rows, err := s.rowsOfJobs(r, jobs)
	for i := range rows {
		if places[i].Gone {
			rows[i].State, rows[i].Error = stateView{"gone", "rest"}, r.T("row.gone")
		}
	}
	return rows, err
}

// frontOf are the jobs of a queue that run next.
func (s *Server) frontOf(r *request, queue string, n int) ([]jobRow, error) {
	found, err := s.opts.Service.Places(r.Context(), broker.PlaceQuery{Queue: queue, Status: distro.StatusQueued, Limit: n})
	if err != nil {
		return nil, err
	}
	return s.rowsOfPlaces(r, found.Places)
}

package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/redistest"
)

const typedModule = `
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Optional
from uuid import UUID

class Color(Enum):
    RED = "red"

class Point(NamedTuple):
    x: float
    y: float = 0.5

@dataclass
class Client:
    name: str
    born: Optional[date] = None
    tags: "set[str]" = field(default_factory=set)

def run(day: date, at: datetime, clock: time, span: timedelta, price: Decimal, items: "set[str]", client: Client,
        color: Color, pair: "tuple[int, date]", point: Point, file: Path, data: bytes, key: UUID, days: "list[date]"):
    assert client.born < date.today() and at.tzinfo and price.quantize(Decimal("0.1")) and point.y == 0.5
    got = repr([day, at, clock, span, price, items, client, color, pair, point, str(file), data, key, days])
    assert got == WANT, got
    return "as meant"

WANT = r"""` + typedRepr + `"""
`

const (
	typedKwargs = `{"day": "2026-10-31", "at": "2026-10-31T08:00:00-03:00", "clock": "08:30", "span": 5400, "price": 10.50, "items": ["a"],
		"client": {"name": "Ana", "born": "1990-05-06", "tags": ["x"]}, "color": "red", "pair": [1, "2026-10-31"], "point": {"x": 1},
		"file": "/tmp/f", "data": "é", "key": "12345678-1234-5678-1234-567812345678", "days": ["2026-10-31"]}`
	typedRepr = `[datetime.date(2026, 10, 31), datetime.datetime(2026, 10, 31, 8, 0, tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=75600))), ` +
		`datetime.time(8, 30), datetime.timedelta(seconds=5400), Decimal('10.50'), {'a'}, ` +
		`Client(name='Ana', born=datetime.date(1990, 5, 6), tags={'x'}), <Color.RED: 'red'>, (1, datetime.date(2026, 10, 31)), ` +
		`Point(x=1.0, y=0.5), '/tmp/f', b'\xc3\xa9', UUID('12345678-1234-5678-1234-567812345678'), [datetime.date(2026, 10, 31)]]`
)

// runTyped runs a function by the API and by its form, and returns both jobs.
func runTyped(t *testing.T, up *server) []string {
	t.Helper()
	body := `{"function": "typed.run", "queue": "high", "id": "api", "typed": true, "kwargs": ` + typedKwargs + `}`
	if status, text := up.post("/api/v1/jobs", body); status != http.StatusCreated {
		t.Fatalf("%d %s", status, text)
	}
	body = strings.Replace(body, `"2026-10-31"`, `"31/10/2026"`, 1)
	if status, text := up.post("/api/v1/jobs", body); status != http.StatusUnprocessableEntity || !strings.Contains(text, "kwargs.day") {
		t.Fatalf("a date that is none: %d %s", status, text)
	}
	form := url.Values{
		"opt.queue": {"high"}, "kw.day": {"2026-10-31"}, "kw.at": {"2026-10-31T08:00:00-03:00"}, "kw.clock": {"08:30"}, "kw.span": {"1h30"},
		"kw.price": {"10.50"}, "kw.items": {"a"}, "kw.client.name": {"Ana"}, "kw.client.born": {"1990-05-06"}, "kw.client.tags": {"x"},
		"kw.color": {"red"}, "kw.pair.1": {"1"}, "kw.pair.2": {"2026-10-31"}, "kw.point.x": {"1"}, "kw.point.y": {"0.5"}, "kw.file": {"/tmp/f"},
		"kw.data": {"é"}, "kw.key": {"12345678-1234-5678-1234-567812345678"}, "kw.days": {"2026-10-31"},
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.pages+"/automations/typed/run", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("the form answered %d", response.StatusCode)
	}
	return []string{"api", strings.TrimPrefix(response.Header.Get("Location"), "/jobs/")}
}

func TestTypedArgumentsReachAFunctionOnAStockWorker(t *testing.T) {
	t.Parallel()
	s := newSite(t, redistest.Options{})
	up := newServer(t, "redis_url = "+s.url+"\nworkers = 0\n", map[string]string{"typed.py": typedModule}).start()
	worker := s.stockAt(up, "stock")
	s.awaitState(worker, "stock", "idle")
	ids := runTyped(t, up)
	for _, id := range ids {
		up.ended(id)
	}
	for id, job := range s.views("stock", ids...) {
		if job["status"] != "finished" || job["result"] != "'as meant'" {
			t.Errorf("%s: %v, %v\n%v", id, job["status"], job["result"], job["exc_info"])
		}
	}
	up.stop()
}

func TestTypedArgumentsReachAFunctionOnAWorkerOfDistro(t *testing.T) {
	t.Parallel()
	up := newServer(t, "", map[string]string{"typed.py": typedModule}).start()
	for _, id := range runTyped(t, up) {
		if job := up.ended(id); job.Status != "finished" || job.Result == nil || string(job.Result.Value) != `"as meant"` {
			t.Errorf("%s: %s, %+v, %+v", id, job.Status, job.Result, job.Failure)
		}
	}
	// What history knows of a job that the queue has forgotten makes it again.
	if status, text := up.post("/api/v1/jobs/api/rerun", `{"queue": "low"}`); status != http.StatusCreated {
		t.Errorf("rerun: %d %s", status, text)
	}
	up.stop()
}

package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/distro-orchestrator/distro/internal/httpapi"
)

// TestParametersOutOfTheirBoundsAreRefused asks each operation for one more and
// one less than the description of each of its numbers allows.
func TestParametersOutOfTheirBoundsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := ask[struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Schema   struct {
					Type             any
					Minimum, Maximum *int64
				}
			}
		}
	}](b, http.StatusOK, "GET", "/openapi.json", "")
	replacer := strings.NewReplacer("{id}", b.create("low"), "{queue}", "low", "{module}", "hello_world", "{function}", "send_hello_world")
	var limits []string
	for path, operations := range spec.Paths {
		for method, op := range operations {
			for _, p := range op.Parameters {
				if p.In != "query" || p.Schema.Minimum == nil || p.Schema.Maximum == nil {
					if p.Name == "limit" || p.Name == "count" {
						t.Errorf("%s of %s %s has no bounds", p.Name, method, path)
					}
					continue
				}
				limits = append(limits, path)
				low, high := *p.Schema.Minimum, *p.Schema.Maximum
				for value, refused := range map[string]bool{
					fmt.Sprint(low): false, fmt.Sprint(high): false,
					fmt.Sprint(low - 1): true, fmt.Sprint(high + 1): true, "-1": true, "99999999999999999999": true, "x": true, "1.5": true,
				} {
					w := b.do(strings.ToUpper(method), replacer.Replace(path)+"?"+p.Name+"="+value, "")
					if got := w.Code == http.StatusUnprocessableEntity; got != refused {
						t.Errorf("%s %s?%s=%s: %d %s", method, path, p.Name, value, w.Code, w.Body)
					}
					var problem httpapi.Problem
					if err := json.Unmarshal(w.Body.Bytes(), &problem); refused && (err != nil || problem.Field != p.Name || problem.Code != "invalid") {
						t.Errorf("%s %s?%s=%s: %s", method, path, p.Name, value, w.Body)
					}
				}
			}
		}
	}
	if len(limits) < 4 {
		t.Errorf("only %q have limits", limits)
	}
}

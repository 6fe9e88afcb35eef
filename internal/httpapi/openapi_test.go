package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiler holds a description.
func compiler(t *testing.T, description any) *jsonschema.Compiler {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:description", description); err != nil {
		t.Fatal(err)
	}
	return c
}

// faults are what is wrong with the schemas of a description.
func faults(t *testing.T, description map[string]any) []error {
	t.Helper()
	c := compiler(t, description)
	var all []error
	for name := range description["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := c.Compile("mem:description#/components/schemas/" + name); err != nil {
			all = append(all, err)
		}
	}
	return all
}

func TestTheSchemasOfTheDescriptionAreJSONSchema(t *testing.T) {
	t.Parallel()
	description := func() map[string]any {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(setup(t).do("GET", "/openapi.json", "").Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		return document.(map[string]any)
	}
	for _, err := range faults(t, description()) {
		t.Error(err)
	}
	// The test sees what is wrong.
	wrong := description()
	wrong["components"].(map[string]any)["schemas"].(map[string]any)["Job"].(map[string]any)["type"] = "thing"
	if len(faults(t, wrong)) == 0 {
		t.Error("a schema of no type passes")
	}
}

// TestExamplesOfTheDescriptionFitTheirSchemas: /docs makes its commands of
// them, and generators their tests.
func TestExamplesOfTheDescriptionFitTheirSchemas(t *testing.T) {
	t.Parallel()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(setup(t).do("GET", "/openapi.json", "").Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	c := compiler(t, document)
	examples := 0
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch node := node.(type) {
		case map[string]any:
			samples, _ := node["examples"].([]any)
			if standard, ok := node["default"]; ok && !strings.HasSuffix(at, "/responses") {
				samples = append(samples, standard)
			}
			for _, sample := range samples {
				examples++
				schema, err := c.Compile("mem:description#" + at)
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(sample); err != nil {
					text, _ := json.Marshal(sample)
					t.Errorf("%s: %s: %v", at, text, err)
				}
			}
			for name, value := range node {
				walk(at+"/"+strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"), value)
			}
		}
	}
	walk("/components/schemas", document.(map[string]any)["components"].(map[string]any)["schemas"])
	if examples < 10 {
		t.Errorf("only %d examples", examples)
	}
}

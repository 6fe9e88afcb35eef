// Command validate checks an OpenAPI document: that its references lead
// somewhere, its operations have ids of their own and describe the parameters of
// their paths, and whatever else OpenAPI asks for.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/getkin/kin-openapi/openapi3"
)

func main() {
	document, err := openapi3.NewLoader().LoadFromFile(os.Args[1])
	if err == nil {
		err = document.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaDefaultsValidation())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("valid", document.OpenAPI, document.IsOpenAPI31OrLater())
}

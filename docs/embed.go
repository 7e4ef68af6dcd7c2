// Package docs embeds the documents that the server serves.
package docs

import _ "embed"

// OpenAPI is the description of the HTTP API, OpenAPI 3.1 in YAML.
//
//go:embed openapi.yaml
var OpenAPI string

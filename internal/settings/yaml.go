package settings

import (
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
)

// ToJSON turns a YAML document, which a JSON document is too, into JSON. It is
// for descriptions whose reader wants JSON; the keys of mappings must be text.
func ToJSON(document []byte) ([]byte, error) {
	var v any
	if err := yaml.Unmarshal(document, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return text, nil
}

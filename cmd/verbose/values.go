package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// parseValues makes values of arguments: JSON where they parse as such, else strings.
func parseValues(args []string, asStrings bool, codec string) ([]any, error) {
	values := make([]any, len(args))
	for i, arg := range args {
		switch {
		case asStrings || !json.Valid([]byte(arg)):
			values[i] = arg
		case codec == "json":
			values[i] = json.RawMessage(arg) // keeps numbers as they were written
		default:
			value, err := parseValue(arg)
			if err != nil {
				return nil, fmt.Errorf("argument %d: %w", i+1, err)
			}
			values[i] = value
		}
	}
	return values, nil
}

// parseValue decodes JSON for another encoding, with whole numbers as such.
func parseValue(text string) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&value); err != nil && err != io.EOF {
		return nil, err
	}
	return numbers(value)
}

func numbers(value any) (_ any, err error) {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = numbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

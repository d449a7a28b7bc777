package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"
	"go.starlark.net/starlark"

	"hewn.example/hewn/internal/diag"
)

// parseData reads a JSON, TOML or YAML file into Starlark values; file is for messages.
func parseData(format, file string, b []byte) (starlark.Value, error) {
	var v any
	var err error
	switch format {
	case "json":
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		err = dec.Decode(&v)
	case "toml":
		err = toml.Unmarshal(b, &v)
	case "yaml":
		err = yaml.Unmarshal(b, &v)
	}
	if err != nil {
		pos := diag.Position{File: file}
		var te *toml.DecodeError
		if errors.As(err, &te) {
			pos.Line, pos.Col = te.Position()
		}
		var se *json.SyntaxError
		if errors.As(err, &se) {
			pos.Line = 1 + bytes.Count(b[:min(int(se.Offset), len(b))], []byte("\n"))
		}
		return nil, diag.Inputf("malformed-file", "malformed %s", format).Because(err).At(pos)
	}
	return toStarlark(v)
}

// toStarlark converts what the parsers give. Dicts get their keys sorted, so that a recipe sees one order.
func toStarlark(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return starlark.MakeInt64(n), nil
		}
		f, err := v.Float64()
		return starlark.Float(f), err
	case int:
		return starlark.MakeInt(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case uint64:
		return starlark.MakeUint64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is no number that a recipe can hold", v)
		}
		return starlark.Float(v), nil
	case []any:
		out := make([]starlark.Value, len(v))
		for i, e := range v {
			x, err := toStarlark(e)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return starlark.NewList(out), nil
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		d := starlark.NewDict(len(v))
		for _, k := range keys {
			x, err := toStarlark(v[k])
			if err != nil {
				return nil, err
			}
			if err := d.SetKey(starlark.String(k), x); err != nil {
				return nil, err
			}
		}
		return d, nil
	case fmt.Stringer: // TOML's dates and times
		return starlark.String(v.String()), nil
	}
	return starlark.String(fmt.Sprint(v)), nil
}

package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"strings"
)

// Manifest is what a package.json says of dependencies.
type Manifest struct {
	Package                    // without a place, a source or an integrity
	Workspaces []string        // patterns for directories; only the project's count
	Overridden map[string]bool // names for which `overrides` may have another answer than the dependencies

	// Overrides has the names of Overridden that stand there once, for all packages, and what they are to be.
	Overrides map[string]string
	// Called and Numbered are name and version, as the file has them.
	Called, Numbered string
}

// ParseManifest reads a package.json. file is the name for errors, which are *diag.Problem.
func ParseManifest(file string, b []byte) (*Manifest, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	r := &reader{file: file, text: string(b)}
	var e struct {
		Dependencies         map[string]string `json:"dependencies"`
		OptionalDependencies map[string]string `json:"optionalDependencies"`
		PeerDependencies     map[string]string `json:"peerDependencies"`
		DevDependencies      map[string]string `json:"devDependencies"`
		Workspaces           json.RawMessage   `json:"workspaces"`
		Overrides            json.RawMessage   `json:"overrides"`
	}
	if err := json.Unmarshal(b, &e); err != nil {
		var typ *json.UnmarshalTypeError
		if errors.As(err, &typ) {
			return nil, r.problem("manifest", r.offset(err), typ.Field, "this cannot be a JSON %s", typ.Value)
		}
		return nil, r.problem("manifest", r.offset(err), "", "cannot read the dependencies: %v", err)
	}
	raw := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, r.problem("manifest", 0, "", "%v", err)
	}
	kept := map[string]json.RawMessage{}
	for _, k := range []string{"dependencies", "optionalDependencies", "peerDependencies", "peerDependenciesMeta", "devDependencies"} {
		if v, ok := raw[k]; ok {
			kept[k] = v
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Overridden: map[string]bool{}}
	if m.Package, err = r.pkg("", string(text), 0); err != nil {
		return nil, err
	}
	if text := strings.TrimSpace(string(e.Workspaces)); text != "" {
		var bad string
		if m.Workspaces, bad = workspaces(text); bad != "" {
			return nil, r.problem("manifest", r.member("workspaces"), "workspaces", "this cannot be a JSON %s", bad)
		}
	}
	overridden(e.Overrides, m.Overridden, 0)
	m.Overrides = everywhere(e.Overrides)
	_, _ = json.Unmarshal(raw["name"], &m.Called), json.Unmarshal(raw["version"], &m.Numbered)
	return m, nil
}

// member is where a member of the file's object is.
func (r *reader) member(name string) (at int) {
	_, _ = object(r.text, func(key string, keyOff, _, _ int) error {
		if key == name {
			at = keyOff
		}
		return nil
	})
	return at
}

// maxNesting bounds how deep overrides are looked at.
const maxNesting = 64

func overridden(raw json.RawMessage, into map[string]bool, depth int) {
	var m map[string]json.RawMessage
	if depth > maxNesting || json.Unmarshal(raw, &m) != nil {
		return
	}
	for k, v := range m {
		if i := strings.LastIndexByte(k, '@'); i > 0 {
			k = k[:i]
		}
		into[k] = true
		overridden(v, into, depth+1)
	}
}

// everywhere gives the overrides that hold for a name wherever it is wanted: written as a name without a version and a
// text without a reference, and nowhere else.
func everywhere(raw json.RawMessage) map[string]string {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	out, elsewhere := map[string]string{}, map[string]bool{}
	for k, v := range m {
		var spec string
		switch i := strings.LastIndexByte(k, '@'); {
		case i > 0:
			elsewhere[k[:i]] = true
			overridden(v, elsewhere, 1)
		case json.Unmarshal(v, &spec) != nil:
			elsewhere[k] = true
			overridden(v, elsewhere, 1)
		case spec != "" && spec[0] != '$':
			out[k] = spec
		}
	}
	maps.DeleteFunc(out, func(k, _ string) bool { return elsewhere[k] })
	return out
}

// SameNames says whether two entries depend on packages of the same names in the same way.
func (p Package) SameNames(q Package) bool {
	keys := func(l []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range l {
			m[n] = true
		}
		return m
	}
	return maps.Equal(keys(p.Dependencies), keys(q.Dependencies)) && maps.Equal(keys(p.OptionalDependencies), keys(q.OptionalDependencies)) &&
		maps.Equal(keys(p.DevDependencies), keys(q.DevDependencies)) && maps.Equal(keys(p.PeerDependencies), keys(q.PeerDependencies))
}

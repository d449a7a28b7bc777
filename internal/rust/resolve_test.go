package rust

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

// index is a sparse index: the lines of a crate by its address.
type index map[string]string

func (x index) Get(_ context.Context, _ origin.Endpoint, u, _ string, _ int64) ([]byte, error) {
	if text, ok := x[u]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("%s: %w", u, fetch.ErrGone)
}

func (x index) Open(context.Context, origin.Endpoint, string) (io.ReadCloser, error) {
	return nil, fetch.ErrGone
}

func (x index) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) {
	return []origin.Endpoint{{URL: "sparse+https://index.example/", From: "the test"}}, nil
}

// release adds a line: rest is further fields of it. A dependency is `name req` with the options of a request, and `dev`,
// `optional`, `as=ALIAS`.
func (x index) release(name, version, rest string, deps ...string) {
	var all []string
	for _, d := range deps {
		f := strings.Fields(d)
		name, alias, features, defaults, optional, kind := f[0], "", "", "true", "false", "normal"
		for _, o := range f[2:] {
			switch {
			case o == "no-default":
				defaults = "false"
			case o == "optional":
				optional = "true"
			case o == "dev":
				kind = "dev"
			case strings.HasPrefix(o, "as="):
				name, alias = o[3:], fmt.Sprintf(",\"package\":%q", f[0])
			case strings.HasPrefix(o, "features="):
				features = `"` + strings.ReplaceAll(o[9:], ",", `","`) + `"`
			}
		}
		all = append(all, fmt.Sprintf(`{"name":%q,"req":%q,"features":[%s],"optional":%s,"default_features":%s,"kind":%q,"target":null%s}`, name, f[1], features, optional, defaults, kind, alias))
	}
	at := "https://index.example/" + indexPrefix(strings.ToLower(name)) + "/" + strings.ToLower(name)
	x[at] += fmt.Sprintf(`{"name":%q,"vers":%q,"cksum":"%064x","deps":[%s]%s}`+"\n", name, version, len(version), strings.Join(all, ","), rest)
}

func testIndex() index {
	x := index{}
	x.release("leaf", "1.0.0", "")
	x.release("leaf", "1.2.0", "")
	x.release("leaf", "1.3.0", `,"yanked":true`)
	x.release("leaf", "2.0.0", `,"rust_version":"1.90"`)
	x.release("leaf", "2.1.0-rc.1", "")
	x["https://index.example/le/af/leaf"] += "{\"name\":\"leaf\",\"vers\":7}\nrubbish\n"
	x.release("Mid", "0.2.0", `,"features":{"default":["std"],"std":["leaf/std"],"extra":["dep:opt"],"more":["opt?/deep"]}`, "leaf ^1", "opt ^1 optional", "tests ^1 dev")
	x.release("opt", "1.0.0", `,"features2":{"deep":["dep:sea"]}`, "sea * optional")
	x.release("sea", "0.0.9", "")
	x.release("implicit", "1.0.0", "", "leaf =1.0.0 optional as=old")
	x.release("ring", "1.0.0", "", "ring2 ^1")
	x.release("ring2", "1.0.0", "", "ring ^1")
	return x
}

func TestResolve(t *testing.T) {
	for _, c := range []struct{ request, want string }{
		{"need leaf 1", "leaf-1.2.0"},
		{"need leaf *", "leaf-2.0.0"},
		{"need leaf *|rust 1.80", "leaf-1.2.0"},
		{"need leaf >=2|rust 1.80", "leaf-2.0.0"},
		{"need leaf 1|have leaf 1.0.0", "leaf-1.0.0"},
		{"need leaf 1|have leaf 1.3.0", "leaf-1.3.0"},
		{"need leaf 1|have leaf 0.9.0", "leaf-1.2.0"},
		{"need leaf 1|need leaf =1.0.0", "leaf-1.0.0 leaf-1.2.0"},
		{"need leaf =1.0.0|need leaf 1", "leaf-1.0.0"},
		{"need leaf 1|need leaf 2", "leaf-1.2.0 leaf-2.0.0"},
		{"need leaf =2.1.0-rc.1", "leaf-2.1.0-rc.1"},
		{"need Mid 0.2", "Mid-0.2.0 leaf-1.2.0"},
		{"need Mid 0.2 features=extra", "Mid-0.2.0 leaf-1.2.0 opt-1.0.0"},
		{"need Mid 0.2 features=extra,more no-default", "Mid-0.2.0 leaf-1.2.0 opt-1.0.0 sea-0.0.9"},
		{"need Mid 0.2 features=more", "Mid-0.2.0 leaf-1.2.0"},
		{"need Mid 0.2 features=opt", "Mid-0.2.0 leaf-1.2.0 opt-1.0.0"},
		{"need implicit 1", "implicit-1.0.0"},
		{"need implicit 1 features=old", "implicit-1.0.0 leaf-1.0.0"},
		{"need ring 1", "ring-1.0.0 ring2-1.0.0"},
		{"need leaf 3", "error: cannot resolve the crates of `app@1`: no version of `leaf` is 3"},
		{"need leaf =1.3.0", "error: cannot resolve the crates of `app@1`: no version of `leaf` is =1.3.0"},
		{"need ghost 1", "no registry has a crate `ghost` (asked: the test)"},
		{"need ../x 1", "\"../x\" cannot be the name of a crate"},
		{"need leaf one", "`leaf` is wanted in version \"one\", which is no requirement"},
		{"want leaf 1", "error: cannot resolve `crates/app@1`: the line \"want leaf 1\" is not understood"},
		{"need leaf 1 maybe", "is not understood"},
	} {
		x := testIndex()
		list, err := Resolver{Getter: x, Endpoints: x}.Resolve(t.Context(), pins.Question{Ecosystem: source.Crates, Set: "crates/app@1", Request: strings.Split(c.request, "|")})
		var names []string
		for _, a := range list {
			names = append(names, strings.TrimSuffix(a.File, ".crate"))
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != c.want && !(err != nil && strings.Contains(got, c.want)) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.request, got, c.want)
		}
	}
}

func FuzzIndex(f *testing.F) {
	for _, text := range testIndex() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := readIndex("leaf", b)
		for _, r := range list {
			if r.Name != "leaf" || err != nil {
				t.Error(r, err)
			}
			(&resolution{crates: map[string]*candidates{}}).pass(r, demand{features: []string{"x", "a/b", "c?/d", "dep:e"}, defaults: true})
		}
	})
}

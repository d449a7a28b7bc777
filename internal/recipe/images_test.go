package recipe

import (
	"errors"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/spec"
)

const twoImages = `
target("files", lambda t: dirs("/x"))
image("first", lambda t: oci.image(root = t.target("files")))
image("second", lambda t: oci.image(root = t.target("files")), default = True)
check("looks", lambda t: oci.unpack(t.target("first")), of = "first")
`

func TestImage(t *testing.T) {
	r := mustLoad(t, twoImages, nil)
	for _, c := range []struct{ ask, want, says, hint string }{
		{"", "second", "", ""},
		{"first", "first", "", ""},
		{"files", "", "the target `files` is no image", "the images are: first, second"},
		{"frist", "", "cannot find the target `frist`", "did you mean `first`?"},
	} {
		got, err := r.Image(c.ask)
		if c.want != "" {
			if err != nil || got.Name != c.want || !got.Image {
				t.Errorf("%q: got %v, %v", c.ask, got, err)
			}
			continue
		}
		var p *diag.Problem
		if !errors.As(err, &p) || !strings.Contains(p.What, c.says) || !strings.Contains(strings.Join(p.Hints, "\n"), c.hint) {
			t.Errorf("%q: got %v", c.ask, err)
		}
	}
	if got, err := mustLoad(t, strings.ReplaceAll(twoImages, ", default = True", ""), nil).Image(""); err != nil || got.Name != "first" {
		t.Errorf("without a default: got %v, %v", got, err)
	}
	if _, err := mustLoad(t, `target("x", lambda t: dirs("/x"))`, nil).Image(""); err == nil || !strings.Contains(err.Error(), "declares no image") {
		t.Errorf("without images: got %v", err)
	}
}

// TestImageIdentity: what a person decides about an image is part of its plan, and of no other target's.
func TestImageIdentity(t *testing.T) {
	identity := func(target string, o Options) string {
		o.Name = "r"
		r, err := Load(recipeFS(t, twoImages, nil), o)
		if err != nil {
			t.Fatal(err)
		}
		_, id, err := r.Plans("id").Plan(target)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	groups := map[string][]spec.LayerGroup{"first": {{Name: "all", Paths: []string{"/"}}}}
	for _, c := range []struct {
		name  string
		o     Options
		moves []string
	}{
		{"compression", Options{Images: ImageSettings{Compression: "gzip"}}, []string{"first", "second"}},
		{"layers", Options{Images: ImageSettings{Layers: groups}}, []string{"first"}},
		{"sources", Options{Configured: map[string]bool{"app": true}}, []string{"files", "first", "second"}},
	} {
		for _, target := range []string{"files", "first", "second"} {
			moved := identity(target, Options{}) != identity(target, c.o)
			if want := strings.Contains(strings.Join(c.moves, " "), target); moved != want {
				t.Errorf("%s: the identity of %s moved: %v, want %v", c.name, target, moved, want)
			}
		}
	}
}

// TestOptionalSource: a source of which nobody says where it is may be None, and is one once the workspace says so.
func TestOptionalSource(t *testing.T) {
	files := map[string]string{SourcesFile: "[app]\n[previous]\n"}
	main := `target("t", lambda t: dirs("/none" if t.source("previous", optional = True) == None else "/some"))`
	for want, configured := range map[string]map[string]bool{"none": nil, "some": {"previous": true}} {
		r, err := Load(recipeFS(t, main, files), Options{Name: "r", Configured: configured})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld()
		got, err := w.build(t, r, "t")
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.store.Directory(t.Context(), got)
		if err != nil || len(d.Dirs) != 1 || d.Dirs[0].Name != want {
			t.Errorf("got %v, %v, want %s", d, err, want)
		}
	}
}

// TestSourceOrigin: only a whole source says where it comes from.
func TestSourceOrigin(t *testing.T) {
	w := newWorld()
	r := mustLoad(t, `
def f(t):
    s = t.source("app")
    return write({"/origin": "%s %s %d %s" % (s.rev, s.revision, s.time, hasattr(s.dir("lib"), "revision"))})

target("t", f)
`, nil)
	w.origin = engine.SourceInfo{Rev: "v1", Revision: "abc", Time: 12}
	got, err := w.build(t, r, "t")
	if err != nil {
		t.Fatal(err)
	}
	if text := w.read(t, got, "origin"); text != "v1 abc 12 False" {
		t.Errorf("got %q", text)
	}
}

package pnpm

import (
	"reflect"
	"slices"
	"testing"
)

// TestExtensionsChecksum has what pnpm wrote into locks, and what object-hash gives for a list.
func TestExtensionsChecksum(t *testing.T) {
	tests := []struct{ in, want string }{
		{"packageExtensions:\n  d1:\n    dependencies:\n      framework: ^1.0.0\n", "sha256-g9fRqx78TgHA+79bojO1lQlHdmgfKhwj2tHVA7VVTco="},
		{"packageExtensions: {}\n", ""},
		{"nodeLinker: hoisted\n", ""},
	}
	for _, c := range tests {
		w, err := ParseWorkspace("pnpm-workspace.yaml", []byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := ExtensionsChecksum(w.PackageExtensions); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

// TestManifestSettings shows that package.json has the last word, for pnpm 10.
func TestManifestSettings(t *testing.T) {
	w, err := ParseWorkspace("pnpm-workspace.yaml", []byte("onlyBuiltDependencies: [a]\nallowBuilds: {b: true, c: false, d: set this}\ncatalog: {x: ^1.0.0}\ncatalogs:\n  old: {x: 0.1.0}\nsupportedArchitectures: {os: [current, darwin], cpu: x64}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.OnlyBuilt, []string{"a", "b"}) || !slices.Equal(w.IgnoredBuilt, []string{"c"}) {
		t.Errorf("builds: %q %q", w.OnlyBuilt, w.IgnoredBuilt)
	}
	manifest := "{\n\t\"pnpm\": {\"onlyBuiltDependencies\": [\"z\"],\n\t\"overrides\": {\"a>b\": \"1.0.0\", \"c\": \"$x\"}}, \"resolutions\": {\"c\": \"2.0.0\", \"d\": \"3.0.0\"}}"
	if err := w.Manifest("package.json", []byte(manifest)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.OnlyBuilt, []string{"z"}) || len(w.IgnoredBuilt) > 0 {
		t.Errorf("builds: %q %q", w.OnlyBuilt, w.IgnoredBuilt)
	}
	if want := []Pair{{"a>b", "1.0.0"}, {"c", "$x"}, {"d", "3.0.0"}}; !slices.Equal(w.Overrides, want) {
		t.Errorf("overrides: %v", w.Overrides)
	}
	if want := []Catalog{{"default", []CatalogEntry{{Name: "x", Specifier: "^1.0.0"}}}, {"old", []CatalogEntry{{Name: "x", Specifier: "0.1.0"}}}}; !reflect.DeepEqual(w.Catalogs, want) {
		t.Errorf("catalogs: %v", w.Catalogs)
	}
	if want := (Architectures{OS: []string{"current", "darwin"}, CPU: []string{"x64"}}); !reflect.DeepEqual(w.Supported, want) {
		t.Errorf("architectures: %v", w.Supported)
	}
}

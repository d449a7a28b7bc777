package python

import (
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// cutoffWorld has a back end that comes out now and then, and packages that need it.
func cutoffWorld() site {
	backend := []string{"backend-1-py3-none-any.whl 2019-01-01T00:00:00Z", "backend-2-py3-none-any.whl 2025-09-01T00:00:00Z",
		"backend-3-py3-none-any.whl 2025-12-01T00:00:00Z", "backend-4-py3-none-any.whl 2026-06-01T00:00:00Z"}
	w := site{endpoints: []string{"https://index.example"}, pages: map[string]string{
		"https://index.example/backend/": wheels(backend...),
		"https://index.example/late/":    wheels("late-1-py3-none-any.whl 2026-03-01T00:00:00Z", "late-2-py3-none-any.whl 2026-07-01T00:00:00Z"),
		"https://index.example/old/":     wheels("old-1.tar.gz 2019-06-01T00:00:00Z", "old-1-py3-none-any.whl 2018-01-01T00:00:00Z"),
		"https://index.example/new/":     wheels("new-1.0.zip 2026-02-01T00:00:00.123456Z", "new-1.0.tar.gz 2026-01-01T00:00:00Z", "new-2.tar.gz 2026-09-01T00:00:00Z"),
		"https://index.example/silent/":  wheels("silent-1.tar.gz"),
		"https://index.example/half/":    wheels("half-1.tar.gz", "half-2.tar.gz 2026-01-01T00:00:00Z"),
	}}
	for _, f := range []string{"backend-1", "backend-2", "backend-3", "backend-4", "late-1", "late-2"} {
		w.pages["https://files.example/"+f+"-py3-none-any.whl.metadata"] = ""
	}
	return w
}

func TestCutoff(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request []string
		want    string
		note    string
	}{
		{"of the sdist's day", []string{"python 3.14", "cutoff new==1.0", "backend"}, "backend 3", ""},
		{"the version's own day", []string{"python 3.14", "cutoff new==2", "backend"}, "backend 4", ""},
		{"in another spelling", []string{"python 3.14", "cutoff new==1", "backend"}, "backend 3", ""},
		{"older than the Python", []string{"python 3.14", "cutoff old==1", "backend"}, "backend 2", ""},
		{"an older Python", []string{"python 3.8", "cutoff old==1", "backend"}, "backend 1", ""},
		{"nothing of that time", []string{"python 3.14", "cutoff old==1", "backend>=3"}, "backend 4",
			"nothing from before 2025-10-07 can build old 1 for Python 3.14: taken are backend 4"},
		{"one of two has nothing of that time", []string{"python 3.14", "cutoff old==1", "backend", "late"}, "backend 4, late 2",
			"nothing from before 2025-10-07 can build old 1 for Python 3.14: taken are backend 4, late 2"},
		{"what no time can give", []string{"python 3.14", "cutoff old==1", "backend>=9"}, "error: cannot resolve the build requirements of `x@1`: no version of backend fits: `backend>=9` is asked for", ""},
		{"an index without times", []string{"python 3.14", "cutoff silent==1", "backend"}, "backend 4",
			"the index of test https://index.example does not say when files were uploaded, so that build requirements are the newest, not those of an sdist's day"},
		{"a file without a time", []string{"python 3.14", "cutoff half==1", "backend"}, "backend 4",
			"it is not known when the sdist of half 1 was uploaded, so that its build requirements are the newest"},
		{"not in the index", []string{"python 3.14", "cutoff ghost==1", "backend"}, "backend 4",
			"it is not known when the sdist of ghost 1 was uploaded, so that its build requirements are the newest"},
		{"a Python of the future", []string{"python 3.99", "cutoff old==1", "backend"}, "backend 4",
			"it is not known when Python 3.99 came out, so that build requirements are the newest, not those of an sdist's day"},
		{"no version", []string{"python 3.14", "cutoff old", "backend"}, "error: cannot resolve `build/x@1/all`: parsing time", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := cutoffWorld()
			var notes []string
			q := pins.Question{Ecosystem: source.PyPI, Set: "build/x@1/all", Platform: platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}, Request: tc.request}
			list, err := Resolver{Getter: w, Endpoints: w, Notes: func(s string) { notes = append(notes, s) }}.Resolve(t.Context(), q)
			var parts []string
			for _, a := range list {
				parts = append(parts, a.Name+" "+a.Version)
			}
			got := strings.Join(parts, ", ")
			if err != nil {
				got = fmt.Sprintf("error: %v", err)
			}
			if got != tc.want && (err == nil || !strings.HasPrefix(got, tc.want)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if note := strings.Join(notes, "\n"); note != tc.note {
				t.Errorf("noted %s\nwant  %s", note, tc.note)
			}
		})
	}
}

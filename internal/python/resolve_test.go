package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

// site is a Getter from a map and the list of its endpoints.
type site struct {
	pages     map[string]string
	endpoints []string
}

func (s site) Get(_ context.Context, _ origin.Endpoint, u, _ string, _ int64) ([]byte, error) {
	if text, ok := s.pages[u]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("%s: %w", u, fetch.ErrGone)
}

func (s site) Open(ctx context.Context, e origin.Endpoint, u string) (io.ReadCloser, error) {
	b, err := s.Get(ctx, e, u, "", 0)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (s site) For(context.Context, source.Ecosystem) ([]origin.Endpoint, error) {
	var out []origin.Endpoint
	for _, u := range s.endpoints {
		out = append(out, origin.Endpoint{URL: u, From: "test " + u})
	}
	return out, nil
}

// wheels is an index page; each file is `name[ time]`.
func wheels(files ...string) string {
	var parts []string
	for i, f := range files {
		name, uploaded, _ := strings.Cut(f, " ")
		yanked := strings.HasSuffix(uploaded, "yanked")
		parts = append(parts, fmt.Sprintf(`{"filename":%q,"url":%q,"hashes":{"sha256":"%064x"},"upload-time":%q,"yanked":%v,"size":7,"core-metadata":true}`,
			name, "https://files.example/"+name, i+1, strings.TrimSuffix(uploaded, "yanked"), yanked))
	}
	return `{"files":[` + strings.Join(parts, ",") + `]}`
}

func buildWorld() site {
	return site{
		endpoints: []string{"https://private.example", "https://public.example"},
		pages: map[string]string{
			"https://public.example/setuptools/": wheels("setuptools-80-py3-none-any.whl 2025-01-01T00:00:00Z", "setuptools-81-py3-none-any.whl 2026-01-01T00:00:00Z", "setuptools-82-py3-none-any.whl 2026-02-01T00:00:00Zyanked"),
			"https://public.example/cython/": wheels("cython-3.2-cp314-cp314-manylinux_2_17_x86_64.whl", "cython-3.2-cp314-cp314-manylinux_2_17_aarch64.whl", "cython-3.2-py3-none-any.whl", "cython-3.3.tar.gz",
				"cython-3.3-cp313-cp313-manylinux_2_17_x86_64.whl"),
			"https://public.example/native/":                                                  wheels("native-1.tar.gz"),
			"https://public.example/tool/":                                                    wheels("tool-1-py3-none-any.whl"),
			"https://private.example/tool/":                                                   wheels("tool-0.1-py3-none-any.whl"),
			"https://files.example/setuptools-80-py3-none-any.whl.metadata":                   "Name: setuptools\n",
			"https://files.example/setuptools-81-py3-none-any.whl.metadata":                   "Requires-Dist: tool\n",
			"https://files.example/tool-0.1-py3-none-any.whl.metadata":                        "Requires-Python: >=3\n",
			"https://files.example/tool-1-py3-none-any.whl.metadata":                          "",
			"https://files.example/cython-3.2-py3-none-any.whl.metadata":                      "",
			"https://files.example/cython-3.2-cp314-cp314-manylinux_2_17_x86_64.whl.metadata": "",
		},
	}
}

func TestResolver(t *testing.T) {
	amd := platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}
	for _, tc := range []struct {
		name    string
		request []string
		want    string
	}{
		{"newest, private index first", []string{"python 3.14", "setuptools>=77"}, "setuptools-81-py3-none-any.whl 02, tool-0.1-py3-none-any.whl 01"},
		{"cut-off", []string{"python 3.14", "cutoff 2025-06-01T00:00:00Z", "setuptools"}, "setuptools-80-py3-none-any.whl 01"},
		{"constraint", []string{"python 3.14", "constraint setuptools<81", "setuptools"}, "setuptools-80-py3-none-any.whl 01"},
		{"best wheel of a version", []string{"python 3.14", "cython"}, "cython-3.2-cp314-cp314-manylinux_2_17_x86_64.whl 01"},
		{"older C library", []string{"python 3.14", "libc 2.16", "cython"}, "cython-3.2-py3-none-any.whl 03"},
		{"only an sdist", []string{"python 3.14", "native"}, "error: cannot resolve the build requirements of `x@1`: no version of native fits: `native` is asked for [this version cannot be used: metadata of native-1.tar.gz: https://files.example/native-1.tar.gz: not there (404)]"},
		{"unknown", []string{"python 3.14", "ghost"}, "error: cannot resolve the build requirements of `x@1`: `ghost` is asked for: no index has a project `ghost` (asked: test https://private.example, test https://public.example) []"},
		{"no Python", []string{"setuptools"}, "error: cannot resolve `build/x@1`: the request does not say for which Python []"},
		{"bad cut-off", []string{"python 3.14", "cutoff yesterday"}, "parsing time"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := buildWorld()
			list, err := Resolver{Getter: w, Endpoints: w}.Resolve(t.Context(), pins.Question{Ecosystem: source.PyPI, Set: "build/x@1", Platform: amd, Request: tc.request})
			var parts []string
			for _, a := range list {
				if a.URL != "" || a.Size != 7 || a.Ecosystem != source.PyPI {
					t.Errorf("%+v", a)
				}
				parts = append(parts, a.File+" "+a.Integrity.Hex()[62:])
			}
			got := strings.Join(parts, ", ")
			if err != nil {
				var p *diag.Problem
				if !errors.As(err, &p) {
					t.Fatalf("no problem: %v", err)
				}
				got = fmt.Sprintf("error: %v %v", err, p.Detail)
			}
			if got != tc.want && !(err != nil && strings.Contains(got, tc.want)) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestResolverWithoutIndex(t *testing.T) {
	_, err := Resolver{Getter: site{}, Endpoints: site{}}.Resolve(t.Context(), pins.Question{Set: "build/x@1", Platform: platform.Platform{OS: "linux", Arch: "amd64"}, Request: []string{"python 3.14", "a"}})
	if diag.ExitCode(err) != 3 {
		t.Errorf("%v", err)
	}
}

func TestMinorOf(t *testing.T) {
	for in, want := range map[string]string{"==3.14.*": "3.14", ">=3.13,<3.15": "3.13", "<3.15,>=3.14": "3.14", "~=3.12": "3.12", "": "", "<4": "", ">=2.7": ""} {
		if got, err := minorOf("pyproject.toml", "project.requires-python", in); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestParseProject(t *testing.T) {
	p, err := parseProject("pyproject.toml", []byte(`[project]
name = "Demo_App"
requires-python = "==3.14.*"
dynamic = ["version"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
backend-path = ["."]
[tool.uv]
no-binary-package = ["LXML"]
build-constraint-dependencies = ["setuptools<81"]
extra-build-dependencies = { A_b = ["setuptools", { requirement = "wheel", match-runtime = true }] }
[tool.hatch.build.targets.wheel.hooks.custom]
`))
	if err != nil || p.name != "demo-app" || p.build.backend != "hatchling.build" || !p.hooks || p.editableSkeleton() ||
		!slices.Equal(p.tool.noBinaryOf, []string{"lxml"}) || !slices.Equal(p.tool.extraBuild["a-b"], []string{"setuptools", "wheel"}) || len(p.tool.constraints) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := parseProject("pyproject.toml", []byte("[tool.black]\n")); err != nil || p.build.backend != "setuptools.build_meta:__legacy__" || len(p.build.requires) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := parseProject("a/pyproject.toml", []byte("[build-system]\nrequires = 1\n")); err == nil || err.Error() != "a/pyproject.toml:2:12: `build-system.requires`: must be an array, but is a number" {
		t.Error(err)
	}
}

package index

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
)

// pages is a Getter from a map.
type pages map[string]string

func (p pages) Get(_ context.Context, _ origin.Endpoint, u, _ string, limit int64) ([]byte, error) {
	text, ok := p[u]
	if !ok {
		return nil, fmt.Errorf("%s: %w", u, fetch.ErrGone)
	}
	if int64(len(text)) > limit {
		return nil, errors.New("over the limit")
	}
	return []byte(text), nil
}

func (p pages) Open(ctx context.Context, e origin.Endpoint, u string) (io.ReadCloser, error) {
	b, err := p.Get(ctx, e, u, "", 1<<30)
	return io.NopCloser(bytes.NewReader(b)), err
}

var sum = strings.Repeat("ab", 32)

var simple = pages{
	"https://index.example/simple/demo-app/": `{"meta":{"api-version":"1.3"},"name":"demo-app","files":[
		{"filename":"demo_app-1.0.tar.gz","url":"../../files/demo_app-1.0.tar.gz","hashes":{},"requires-python":null,"yanked":false},
		{"filename":"demo_app-1.0-py3-none-any.whl","url":"https://files.example/a%2Bb/demo_app-1.0-py3-none-any.whl","hashes":{"sha256":"` + sum + `"},"requires-python":">=3.8","size":123,"upload-time":"2026-05-01T10:00:00.123456Z","yanked":"broken","core-metadata":{"sha256":"` + sum + `"}},
		{"filename":"../evil","url":"x"}, {"filename":"odd.whl","url":"http://[bad"}]}`,
	"https://index.example/simple/old/": `{"meta":{"api-version":"1.0"},"files":[{"filename":"old-1-py3-none-any.whl","url":"old-1-py3-none-any.whl","hashes":{"md5":"x"},"dist-info-metadata":true}]}`,
	"https://index.example/simple/new/": `{"meta":{"api-version":"2.0"},"files":[]}`,
	"https://index.example/simple/page/": `<!DOCTYPE html><html><head><base href="/base/"><title>Links</title></head><body>
		<a href="../files/page-1.0%2Bx.tar.gz#sha256=` + sum + `" data-requires-python="&gt;=3.8">page</a><br/>
		<a href="page-2-py3-none-any.whl#md5=12" data-yanked data-core-metadata="sha256=` + sum + `">x</a>
		<a href="page-3-py3-none-any.whl?token=1" data-dist-info-metadata="true" data-core-metadata="false">x</a>
		<a name="no link">x</a><a href="/">up</a></body></html>`,
	"https://index.example/simple/broken/": `{"files": [`,
}

func text(files []File) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s %s", f.Name, f.URL)
		for _, x := range []string{f.SHA256, f.RequiresPython, f.UploadTime, f.MetadataSHA256} {
			fmt.Fprintf(&b, " %q", strings.ReplaceAll(x, sum, "SUM"))
		}
		fmt.Fprintf(&b, " %d %v %v\n", f.Size, f.Yanked, f.Metadata)
	}
	return b.String()
}

func TestProject(t *testing.T) {
	e := origin.Endpoint{URL: "https://index.example/simple"}
	for _, tc := range []struct{ name, want string }{
		{"Demo.App", "demo_app-1.0.tar.gz https://index.example/files/demo_app-1.0.tar.gz \"\" \"\" \"\" \"\" 0 false false\n" +
			"demo_app-1.0-py3-none-any.whl https://files.example/a%2Bb/demo_app-1.0-py3-none-any.whl \"SUM\" \">=3.8\" \"2026-05-01T10:00:00.123456Z\" \"SUM\" 123 true true\n"},
		{"old", "old-1-py3-none-any.whl https://index.example/simple/old/old-1-py3-none-any.whl \"\" \"\" \"\" \"\" 0 false true\n"},
		{"page", "page-1.0+x.tar.gz https://index.example/files/page-1.0%2Bx.tar.gz \"SUM\" \">=3.8\" \"\" \"\" 0 false false\n" +
			"page-2-py3-none-any.whl https://index.example/base/page-2-py3-none-any.whl \"\" \"\" \"\" \"SUM\" 0 true true\n" +
			"page-3-py3-none-any.whl https://index.example/base/page-3-py3-none-any.whl?token=1 \"\" \"\" \"\" \"\" 0 false true\n"},
		{"new", "error: index page of new: version 2.0 of the repository API is not known, only 1.x is"},
		{"broken", "error: index page of broken: unexpected end of JSON input"},
		{"ghost", "error: https://index.example/simple/ghost/: not there (404)"},
	} {
		files, err := Project(t.Context(), simple, e, tc.name)
		got := text(files)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

func TestLocate(t *testing.T) {
	e := origin.Endpoint{URL: "https://index.example/simple/", Token: "t"}
	l, err := Locate(t.Context(), simple, e, source.Artifact{Name: "demo-app", File: "demo_app-1.0.tar.gz"})
	if err != nil || l.URL != "https://index.example/files/demo_app-1.0.tar.gz" || l.Endpoint != e {
		t.Errorf("%+v, %v", l, err)
	}
	for _, a := range []source.Artifact{{Name: "demo-app", File: "demo_app-2.tar.gz"}, {Name: "ghost", File: "x"}} {
		if _, err := Locate(t.Context(), simple, e, a); !errors.Is(err, fetch.ErrGone) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

const metadata = "Metadata-Version: 2.1\nName: a\nRequires-Python: >=3.9\nRequires-Dist: b>=1\nDescription: x\n  Requires-Dist: folded\nrequires-dist: c ; extra == \"x\"\n\nRequires-Dist: in the description\n"

func TestReadMetadata(t *testing.T) {
	var whl bytes.Buffer
	z := zip.NewWriter(&whl)
	for _, name := range []string{"a/METADATA", "a-1.dist-info/METADATA"} {
		w, _ := z.Create(name)
		_, _ = io.WriteString(w, metadata)
	}
	_ = z.Close()
	hash := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	g := pages{"https://f.example/a.whl": whl.String(), "https://f.example/b.whl.metadata": metadata, "https://f.example/bad.whl.metadata": "Requires-Dist: ???\n"}
	for _, tc := range []struct {
		name string
		f    File
		want string
	}{
		{"out of the wheel", File{URL: "https://f.example/a.whl", SHA256: hash(whl.String())}, ""},
		{"served", File{URL: "https://f.example/b.whl", Metadata: true, MetadataSHA256: hash(metadata)}, ""},
		{"wrong hash", File{URL: "https://f.example/b.whl", Metadata: true, MetadataSHA256: sum}, "but the index says " + sum},
		{"wheel with wrong hash", File{URL: "https://f.example/a.whl", SHA256: sum}, "but the index says " + sum},
		{"gone", File{URL: "https://f.example/c.whl", Metadata: true}, "not there"},
		{"unreadable requirement", File{URL: "https://f.example/bad.whl", Metadata: true}, "no name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := ReadMetadata(t.Context(), g, origin.Endpoint{}, tc.f)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil || m.RequiresPython != ">=3.9" || len(m.Requires) != 2 || m.Requires[1].Name != "c" {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func FuzzPages(f *testing.F) {
	for _, p := range simple {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g := pages{"https://index.example/x/": string(b)}
		files, err := Project(t.Context(), g, origin.Endpoint{URL: "https://index.example"}, "x")
		if err != nil {
			return
		}
		for _, file := range files {
			if u, err := url.Parse(file.URL); err != nil || !u.IsAbs() || strings.Contains(file.Name, "/") {
				t.Fatalf("%+v", file)
			}
		}
	})
}

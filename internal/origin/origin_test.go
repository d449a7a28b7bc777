package origin

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"hewn.example/hewn/internal/source"
)

// machine is a made-up machine.
type machine struct {
	env   map[string]string
	files map[string]string // by absolute path
	tools map[string]string // by command line
	asked *atomic.Int32
}

func (m *machine) resolver(cfg Config) *Resolver {
	if m.asked == nil {
		m.asked = new(atomic.Int32)
	}
	fsys := fstest.MapFS{}
	for name, text := range m.files {
		fsys[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
	}
	return New(cfg, Env{
		Getenv: func(k string) string { return m.env[k] },
		FS:     fsys, Home: "/home/u", Dir: "/ws",
		Run: func(_ context.Context, name string, args ...string) ([]byte, error) {
			m.asked.Add(1)
			out, ok := m.tools[strings.Join(append([]string{name}, args...), " ")]
			if said, failed := strings.CutPrefix(out, "fails: "); failed {
				return nil, &ToolError{said, errors.New("exit status 101")}
			}
			if !ok {
				return nil, errors.New("no such program")
			}
			return []byte(out), nil
		},
	})
}

// lines is the endpoints as `URL <- where from`.
func lines(eps []Endpoint) []string {
	var out []string
	for _, e := range eps {
		out = append(out, e.URL+" <- "+e.From)
	}
	return out
}

const cargoAsk = `cargo --config http.proxy="http://127.0.0.1:0" --config net.retry=0 info hewn`

const pipAsk = "python3 -c from pip._internal.models.index import PyPI; print(PyPI.simple_url)"

func jar(t *testing.T, pom string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("org/apache/maven/model/pom-4.0.0.xml")
	if err == nil {
		_, err = w.Write([]byte(pom))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		name string
		eco  source.Ecosystem
		m    machine
		want []string
	}{
		{"pypi: all there is, in order", source.PyPI, machine{
			env: map[string]string{"UV_DEFAULT_INDEX": "https://a.test/simple/", "PIP_INDEX_URL": "https://b.test/simple",
				"UV_INDEX": "corp=https://c.test/s https://d.test/s", "PIP_EXTRA_INDEX_URL": "https://e.test/s"},
			files: map[string]string{
				"/home/u/.config/uv/uv.toml":   "index-url = \"https://g.test/\"\n[[index]]\nname = \"x\"\nurl = \"https://f.test/\"\n",
				"/home/u/.config/pip/pip.conf": "[global]\nindex-url = https://a.test/simple\nextra-index-url =\n  https://h.test/\n  https://i.test/\n",
				"/etc/pip.conf":                "[global]\nindex_url: https://j.test/simple?a=b\n",
			}}, []string{
			"https://a.test/simple <- environment UV_DEFAULT_INDEX", "https://b.test/simple <- environment PIP_INDEX_URL",
			"https://c.test/s <- environment UV_INDEX", "https://d.test/s <- environment UV_INDEX", "https://e.test/s <- environment PIP_EXTRA_INDEX_URL",
			"https://f.test <- /home/u/.config/uv/uv.toml", "https://g.test <- /home/u/.config/uv/uv.toml",
			"https://h.test <- /home/u/.config/pip/pip.conf", "https://i.test <- /home/u/.config/pip/pip.conf", "https://j.test/simple?a=b <- /etc/pip.conf"}},
		{"pypi: another place for files", source.PyPI, machine{
			env:   map[string]string{"XDG_CONFIG_HOME": "/conf", "PIP_CONFIG_FILE": "/my/pip.conf"},
			files: map[string]string{"/conf/pip/pip.conf": "[global]\nindex-url=https://b.test", "/my/pip.conf": "[global]\nindex-url = 'https://a.test'\n", "/home/u/.config/pip/pip.conf": "[global]\nindex-url=https://c.test"}},
			[]string{"https://a.test <- /my/pip.conf", "https://b.test <- /conf/pip/pip.conf"}},
		{"pypi: the tool", source.PyPI, machine{tools: map[string]string{pipAsk: "https://t.test/simple\n"}}, []string{"https://t.test/simple <- answer of pip"}},
		{"pypi: nothing", source.PyPI, machine{}, nil},
		{"npm: nearest first", source.NPM, machine{
			env:   map[string]string{"npm_config_registry": "https://a.test/"},
			files: map[string]string{"/ws/.npmrc": "; mine\nregistry=https://b.test/npm/\n", "/home/u/.npmrc": "registry = \"https://c.test\"", "/etc/npmrc": "registry=https://a.test"}},
			[]string{"https://a.test <- environment npm_config_registry", "https://b.test/npm <- /ws/.npmrc", "https://c.test <- /home/u/.npmrc"}},
		{"npm: the tool talks", source.NPM, machine{tools: map[string]string{"npm config get registry": "npm warn something\nhttps://t.test/\n"}},
			[]string{"https://t.test <- answer of `npm config get registry`"}},
		{"go: variable", source.Go, machine{env: map[string]string{"GOPROXY": "https://a.test,https://b.test|https://c.test,direct"},
			files: map[string]string{"/home/u/.config/go/env": "GOPROXY=https://d.test\nGOFLAGS=-mod=mod\n"}},
			[]string{"https://a.test <- environment GOPROXY", "https://b.test <- environment GOPROXY", "https://c.test <- environment GOPROXY", "direct <- environment GOPROXY"}},
		{"go: file", source.Go, machine{files: map[string]string{"/home/u/.config/go/env": "GOPROXY=https://d.test\nGOFLAGS=-mod=mod\n"}}, []string{"https://d.test <- /home/u/.config/go/env"}},
		{"go: file elsewhere", source.Go, machine{env: map[string]string{"GOENV": "/e/env"}, files: map[string]string{"/e/env": "GOPROXY=file:///srv/mods"}}, []string{"file:///srv/mods <- /e/env"}},
		{"go: the tool", source.Go, machine{tools: map[string]string{"go env GOPROXY GONOPROXY": "https://t.test,direct\n\n"}}, []string{"https://t.test <- answer of `go env GOPROXY`", "direct <- answer of `go env GOPROXY`"}},
		{"go: off", source.Go, machine{env: map[string]string{"GOPROXY": "off"}, tools: map[string]string{"go env GOPROXY GONOPROXY": "https://t.test\n\n"}}, nil},
		{"debian: both formats", source.Debian, machine{
			env: map[string]string{"HEWN_DEBIAN_MIRROR": "http://m.test/debian"},
			files: map[string]string{
				"/etc/apt/sources.list": "# a comment\ndeb [arch=amd64 signed-by=/k.gpg] http://a.test/other/ stable main\ndeb http://b.test/debian-security stable main # c\n" +
					"deb-src http://no.test/debian stable main\ndeb cdrom:[Disk]/ stable main\n#deb http://no.test/debian x y\n",
				"/etc/apt/sources.list.d/x.sources": "Types: deb\n# a comment\nURIs: http://c.test/debian\n http://d.test/debian/\nSuites: stable\nComponents: main\n\n" +
					"types: deb-src deb\nuris: http://e.test/debian\n\nTypes: deb\nEnabled: no\nURIs: http://no.test/debian\n\nTypes: deb-src\nURIs: http://no.test/debian\n",
				"/etc/apt/sources.list.d/y.list":          "deb http://f.test/debian stable main\n",
				"/etc/apt/sources.list.d/z.list.disabled": "deb http://no.test/debian stable main\n",
				"/etc/apt/sources.list.d/z.sources.save":  "Types: deb\nURIs: http://no.test/debian\n",
			}}, []string{"http://m.test/debian <- environment HEWN_DEBIAN_MIRROR",
			"http://c.test/debian <- /etc/apt/sources.list.d/x.sources", "http://d.test/debian <- /etc/apt/sources.list.d/x.sources",
			"http://e.test/debian <- /etc/apt/sources.list.d/x.sources", "http://f.test/debian <- /etc/apt/sources.list.d/y.list",
			"http://b.test/debian-security <- /etc/apt/sources.list", "http://a.test/other <- /etc/apt/sources.list"}},
		{"maven: settings", source.Maven, machine{files: map[string]string{
			"/home/u/.m2/settings.xml": `<settings><mirrors><mirror><url>https://a.test/maven</url><mirrorOf>external:*</mirrorOf></mirror>` +
				`<mirror><url>https://no.test</url><mirrorOf>internal</mirrorOf></mirror></mirrors>` +
				`<profiles><profile><repositories><repository><url>https://b.test/</url></repository></repositories></profile></profiles></settings>`,
			"/etc/maven/settings.xml": `<settings><mirrors><mirror><url>https://c.test</url><mirrorOf>central</mirrorOf></mirror></mirrors></settings>`}},
			[]string{"https://a.test/maven <- /home/u/.m2/settings.xml", "https://b.test <- /home/u/.m2/settings.xml", "https://c.test <- /etc/maven/settings.xml"}},
		{"maven: its own POM", source.Maven, machine{
			tools: map[string]string{"mvn -v": "Apache Maven 3\nMaven home: /opt/mvn\nJava version: 21\n"},
			files: map[string]string{"/opt/mvn/lib/maven-model-builder-3.jar": jar(t, `<project><repositories><repository><id>central</id><url>https://t.test/maven2</url></repository></repositories></project>`),
				"/opt/mvn/lib/other.jar": "not a zip"}},
			[]string{"https://t.test/maven2 <- Maven's built-in POM in /opt/mvn"}},
		{"maven: a broken jar", source.Maven, machine{files: map[string]string{"/usr/share/maven/lib/maven-model-builder.jar": "PK"}}, nil},
		{"crates: replacement", source.Crates, machine{
			env:   map[string]string{"CARGO_REGISTRIES_CRATES_IO_INDEX": "sparse+https://a.test/index/"},
			files: map[string]string{"/home/u/.cargo/config.toml": "[source.crates-io]\nreplace-with = \"one\"\n[source.one]\nreplace-with = \"two\"\n[source.two]\nregistry = \"sparse+https://b.test/\"\n"}},
			[]string{"https://a.test/index <- environment CARGO_REGISTRIES_CRATES_IO_INDEX", "https://b.test <- /home/u/.cargo/config.toml"}},
		{"crates: a registry", source.Crates, machine{env: map[string]string{"CARGO_HOME": "/c"},
			files: map[string]string{"/c/config": "source.crates-io.replace-with = \"r\"\nregistries.r.index = \"https://b.test\"\n"}}, []string{"https://b.test <- /c/config"}},
		{"crates: cargo's own", source.Crates, machine{tools: map[string]string{
			cargoAsk: "fails:     Updating an index\nerror: download of config.json failed\n\nCaused by:\n  failed to download from `https://index.test/of/crates/config.json`\n"}},
			[]string{"https://index.test/of/crates <- answer of `cargo info`"}},
		{"crates: cargo answers", source.Crates, machine{tools: map[string]string{cargoAsk: "hewn #builds\n"}}, nil},
		{"crates: cargo says something else", source.Crates, machine{tools: map[string]string{cargoAsk: "fails: error: no such command: `info`\n"}}, nil},
		{"crates: a ring", source.Crates, machine{files: map[string]string{"/home/u/.cargo/config.toml": "source.crates-io.replace-with = \"a\"\nsource.a.replace-with = \"crates-io\"\n"}}, nil},
		{"identities are left out", source.NPM, machine{env: map[string]string{"npm_config_registry": "https://registry.example"}, files: map[string]string{"/home/u/.npmrc": "registry=https://a.test"}},
			[]string{"https://a.test <- /home/u/.npmrc"}},
		{"no ecosystem with origins", source.Git, machine{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.m.resolver(Config{}).For(t.Context(), c.eco)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, lines(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMirrorsComeFirst(t *testing.T) {
	m := machine{env: map[string]string{"GOPROXY": "https://b.test,https://a.test"}}
	cfg := Config{Mirrors: map[string][]string{"go": {"https://a.test/", "https://u:p%40ss@c.test/x"}, "npm": {"https://no.test"}}}
	got, _ := m.resolver(cfg).For(t.Context(), source.Go)
	want := []string{"https://a.test <- hewn.toml: mirror.go", "https://c.test/x <- hewn.toml: mirror.go", "https://b.test <- environment GOPROXY"}
	if d := cmp.Diff(want, lines(got)); d != "" {
		t.Error(d)
	}
	if got[1].User != "u" || got[1].Pass != "p@ss" {
		t.Errorf("credentials of the address: %q, %q", got[1].User, got[1].Pass)
	}
	cfg.MirrorsOnly = true
	r := m.resolver(cfg)
	got, _ = r.For(t.Context(), source.Go)
	if d := cmp.Diff(want[:2], lines(got)); d != "" {
		t.Error(d)
	}
	if logs := strings.Join(r.Looked(t.Context(), source.Go), "\n"); !strings.Contains(logs, "mirrors-only") || strings.Contains(logs, "p@ss") || strings.Contains(logs, "p%40ss") {
		t.Errorf("doctor says\n%s", logs)
	}
	if m.asked.Load() != 0 {
		t.Error("a tool was asked although there are mirrors")
	}
}

func TestNPMTokens(t *testing.T) {
	m := machine{
		env: map[string]string{"TOKEN": "from-env"},
		files: map[string]string{
			"/ws/.npmrc": "registry=https://a.test/npm/\n//a.test/npm/:_authToken=${TOKEN}\n",
			"/home/u/.npmrc": "registry=https://b.test:8443\n//b.test:8443/:_authToken=\"fixed\"\n//a.test/npm/:_authToken=farther\n" +
				"//c.test/:_authToken=above\n//d.test/other/:_authToken=no\n//e.test/:_authToken=${UNSET}\n",
		},
	}
	cfg := Config{Mirrors: map[string][]string{"npm": {"https://c.test/deep/er", "https://d.test", "https://e.test", "file:///srv/npm"}}}
	for _, only := range []bool{false, true} {
		cfg.MirrorsOnly = only
		got, _ := m.resolver(cfg).For(t.Context(), source.NPM)
		tokens := map[string]string{}
		for _, e := range got {
			tokens[e.URL] = e.Token
		}
		want := map[string]string{"https://c.test/deep/er": "above", "https://d.test": "", "https://e.test": "", "file:///srv/npm": ""}
		if !only {
			want["https://a.test/npm"], want["https://b.test:8443"] = "from-env", "fixed"
		}
		if d := cmp.Diff(want, tokens); d != "" {
			t.Errorf("mirrors only %v: %s", only, d)
		}
	}
}

func TestUnusableAddresses(t *testing.T) {
	m := machine{env: map[string]string{"GOPROXY": "ftp://a.test,nonsense,https://%zz,https://ok.test"}}
	r := m.resolver(Config{})
	got, _ := r.For(t.Context(), source.Go)
	if d := cmp.Diff([]string{"https://ok.test <- environment GOPROXY"}, lines(got)); d != "" {
		t.Error(d)
	}
	if logs := r.Looked(t.Context(), source.Go); len(logs) != 4 || !strings.Contains(logs[0], "left out") {
		t.Errorf("doctor says %q", logs)
	}
}

// TestLooksOnce says that nothing is read before the first question, and each ecosystem once.
func TestLooksOnce(t *testing.T) {
	m := machine{}
	r := m.resolver(Config{})
	if m.asked.Load() != 0 {
		t.Error("a tool was asked before any question")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = r.For(t.Context(), source.NPM) })
	}
	wg.Wait()
	if n := m.asked.Load(); n != 1 {
		t.Errorf("npm was asked %d times", n)
	}
	if logs := r.Looked(t.Context(), source.NPM); len(logs) != 1 || logs[0] != "`npm`: no answer (no such program)" {
		t.Errorf("doctor says %q", logs)
	}
}

// TestLargeFilesAreNotRead bounds what a machine's configuration can make us read.
func TestLargeFilesAreNotRead(t *testing.T) {
	m := machine{files: map[string]string{"/home/u/.npmrc": "registry=https://a.test\n" + strings.Repeat("#", 16<<20)}}
	if got, _ := m.resolver(Config{}).For(t.Context(), source.NPM); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[global]\nindex-url = https://a.test\n  more\n"))
	f.Add([]byte("//a.test/:_authToken=x\n${\n"))
	f.Add([]byte("Types: deb\nURIs: http://a.test\n b\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := string(raw)
		parseINI(raw)
		deb822Sources(s, "x")
		listSources(s, "x")
		m := machine{files: map[string]string{"/home/u/.npmrc": s, "/home/u/.cargo/config.toml": s, "/home/u/.m2/settings.xml": s}}
		r := m.resolver(Config{Mirrors: map[string][]string{"npm": {s}}})
		for _, eco := range []source.Ecosystem{source.NPM, source.Crates, source.Maven} {
			eps, err := r.For(t.Context(), eco)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range eps {
				if strings.HasSuffix(e.URL, "/") || e.URL == "" {
					t.Errorf("%s: endpoint %q", eco, e.URL)
				}
			}
		}
	})
}

// TestGoPrivate: which modules each endpoint is for, and after which answers the next is asked.
func TestGoPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		m    machine
		want []Endpoint
	}{
		"comma and bar": {Config{}, machine{env: map[string]string{"GOPROXY": "https://a.test,https://b.test|https://c.test"}}, []Endpoint{
			{URL: "https://a.test", From: "environment GOPROXY", Final: true}, {URL: "https://b.test", From: "environment GOPROXY"}, {URL: "https://c.test", From: "environment GOPROXY"}}},
		"nothing after off": {Config{}, machine{env: map[string]string{"GOPROXY": "https://a.test,off,https://b.test"}}, []Endpoint{
			{URL: "https://a.test", From: "environment GOPROXY", Final: true}}},
		"GOPRIVATE": {Config{}, machine{env: map[string]string{"GOPROXY": "https://a.test|direct", "GOPRIVATE": "*.corp.test"}}, []Endpoint{
			{URL: "direct", From: "environment GOPRIVATE", Only: "*.corp.test"}, {URL: "https://a.test", From: "environment GOPROXY", Not: "*.corp.test"},
			{URL: "direct", From: "environment GOPROXY", Not: "*.corp.test"}}},
		"GONOPROXY counts more": {Config{}, machine{files: map[string]string{"/home/u/.config/go/env": "GOPRIVATE=a.test\nGONOPROXY=b.test/x\nGOPROXY=off\n"}}, []Endpoint{
			{URL: "direct", From: "/home/u/.config/go/env", Only: "b.test/x"}}},
		"GONOPROXY none": {Config{}, machine{env: map[string]string{"GOPROXY": "https://a.test", "GOPRIVATE": "b.test", "GONOPROXY": "none"}}, []Endpoint{
			{URL: "https://a.test", From: "environment GOPROXY"}}},
		"the tool": {Config{}, machine{tools: map[string]string{"go env GOPROXY GONOPROXY": "off\nb.test\n"}}, []Endpoint{
			{URL: "direct", From: "answer of `go env GONOPROXY`", Only: "b.test"}}},
		"hewn.toml": {Config{GoPrivate: []string{"c.test", "d.test/x"}, Mirrors: map[string][]string{"go": {"https://m.test"}}}, machine{env: map[string]string{"GOPROXY": "https://a.test", "GOPRIVATE": "b.test"}}, []Endpoint{
			{URL: "https://m.test", From: "hewn.toml: mirror.go"}, {URL: "direct", From: "hewn.toml: go.private", Only: "c.test,d.test/x"},
			{URL: "direct", From: "environment GOPRIVATE", Only: "b.test"}, {URL: "https://a.test", From: "environment GOPROXY", Not: "c.test,d.test/x,b.test"}}},
		"mirrors only": {Config{GoPrivate: []string{"c.test"}, MirrorsOnly: true}, machine{env: map[string]string{"GOPROXY": "https://a.test"}}, []Endpoint{
			{URL: "direct", From: "hewn.toml: go.private", Only: "c.test"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.m.resolver(c.cfg).For(t.Context(), source.Go)
			if d := cmp.Diff(c.want, got); err != nil || d != "" {
				t.Errorf("%v (-want +got)\n%s", err, d)
			}
		})
	}
}

// TestNPMScopes: a scope's registry is asked for that scope alone, and no other for it, but for what hewn.toml says.
func TestNPMScopes(t *testing.T) {
	m := machine{files: map[string]string{
		"/ws/.npmrc":     "@near:registry=https://near.test/\n@both:registry=https://a.test\n",
		"/home/u/.npmrc": "registry=https://a.test\n@near:registry=https://far.test\n@own:registry=https://other.test\n@id:registry=https://id.example\n",
	}}
	show := func(cfg Config) string {
		eps, err := m.resolver(cfg).For(t.Context(), source.NPM)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range eps {
			out = append(out, strings.TrimPrefix(e.URL, "https://")+" only="+e.Only+" not="+e.Not)
		}
		return strings.Join(out, "\n")
	}
	cfg := Config{Mirrors: map[string][]string{"npm": {"https://m.test"}}, NPMScopes: map[string]string{"@own": "https://own.test"}}
	for _, c := range []struct{ name, got, want string }{
		{".npmrc", show(Config{}), "a.test only=@both not=\nnear.test only=@near not=\nother.test only=@own not=\na.test only= not=@both,@id,@near,@own"},
		{"hewn.toml", show(cfg), "a.test only=@both not=\nnear.test only=@near not=\nown.test only=@own not=\nm.test only= not=@own\na.test only= not=@both,@id,@near,@own"},
		{"mirrors only", show(Config{Mirrors: cfg.Mirrors, NPMScopes: cfg.NPMScopes, MirrorsOnly: true}), "own.test only=@own not=\nm.test only= not=@own"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, c.got, c.want)
		}
	}
}

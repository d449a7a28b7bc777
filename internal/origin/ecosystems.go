package origin

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// pypi: the variables of uv and pip, then their files, then pip's own constant.
func (f *finder) pypi() {
	for _, v := range []string{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"} {
		f.fromEnv(v, one)
	}
	for _, v := range []string{"UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"} {
		f.fromEnv(v, strings.Fields)
	}
	for _, name := range []string{path.Join(f.env.Home, ".config/uv/uv.toml"), "/etc/uv/uv.toml"} {
		f.uvToml(name)
	}
	files := []string{f.env.Getenv("PIP_CONFIG_FILE"), path.Join(f.env.Home, ".config/pip/pip.conf"),
		path.Join(f.env.Home, ".pip/pip.conf"), "/etc/xdg/pip/pip.conf", "/etc/pip.conf"}
	for _, name := range files {
		ini := parseINI(f.read(name))
		f.addIf(ini["global.index-url"], name)
		for _, u := range strings.Fields(ini["global.extra-index-url"]) {
			f.add(u, name)
		}
	}
	if len(f.eps) == 0 {
		f.addIf(f.ask("python3", "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"), "answer of pip")
	}
}

func (f *finder) addIf(u, from string) {
	if u != "" {
		f.add(u, from)
	}
}

func (f *finder) uvToml(name string) {
	var c struct {
		IndexURL string `toml:"index-url"`
		Index    []struct {
			URL string `toml:"url"`
		} `toml:"index"`
	}
	if b := f.read(name); b != nil && toml.Unmarshal(b, &c) == nil {
		for _, i := range c.Index {
			f.add(i.URL, name)
		}
		f.addIf(c.IndexURL, name)
	}
}

// npm: the variable, then .npmrc from the nearest to the farthest, then npm itself.
func (f *finder) npm() {
	for _, v := range []string{"npm_config_registry", "NPM_CONFIG_REGISTRY"} {
		f.fromEnv(v, one)
	}
	for _, name := range []string{path.Join(f.env.Dir, ".npmrc"), path.Join(f.env.Home, ".npmrc"), "/etc/npmrc"} {
		f.addIf(parseINI(f.read(name))["registry"], name)
	}
	if len(f.eps) == 0 {
		f.addIf(lastLine(f.ask("npm", "config", "get", "registry")), "answer of `npm config get registry`")
	}
	for i, e := range f.eps {
		f.eps[i].Token = f.npmToken(e.URL)
	}
}

// npmToken finds `//host/path/:_authToken=…` for a registry.
func (f *finder) npmToken(registry string) string {
	_, rest, _ := strings.Cut(registry, "://")
	for _, name := range []string{path.Join(f.env.Dir, ".npmrc"), path.Join(f.env.Home, ".npmrc"), "/etc/npmrc"} {
		ini := parseINI(f.read(name))
		for _, k := range []string{"//" + rest + "/:_authToken", "//" + rest + ":_authToken"} {
			if t := ini[k]; t != "" {
				if v, ok := strings.CutPrefix(t, "${"); ok {
					t = f.env.Getenv(strings.TrimSuffix(v, "}"))
				}
				return t
			}
		}
	}
	return ""
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// golang: GOPROXY, Go's own file, then `go env`. The words direct and off are no addresses.
func (f *finder) golang() {
	split := func(s string) (out []string) {
		for _, u := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '|' }) {
			if u != "direct" && u != "off" {
				out = append(out, u)
			}
		}
		return out
	}
	f.fromEnv("GOPROXY", split)
	file := f.env.Getenv("GOENV")
	if file == "" {
		file = path.Join(f.env.Home, ".config/go/env")
	}
	for _, u := range split(parseINI(f.read(file))["GOPROXY"]) {
		f.add(u, file)
	}
	if len(f.eps) == 0 {
		for _, u := range split(f.ask("go", "env", "GOPROXY")) {
			f.add(u, "answer of `go env GOPROXY`")
		}
	}
}

// debian: what apt uses, in both of its formats. Archives of other vendors are asked too and answer that they have no
// such suite, so the ones that look like a Debian archive go first.
func (f *finder) debian() {
	f.fromEnv("HEWN_DEBIAN_MIRROR", strings.Fields)
	names := []string{"/etc/apt/sources.list"}
	if f.env.FS != nil {
		entries, _ := fs.ReadDir(f.env.FS, "etc/apt/sources.list.d")
		for _, e := range entries {
			names = append(names, "/etc/apt/sources.list.d/"+e.Name())
		}
	}
	type found struct{ url, from string }
	var all []found
	for _, name := range names {
		b := string(f.read(name))
		if strings.HasSuffix(name, ".sources") {
			for _, l := range strings.Split(b, "\n") {
				if v, ok := strings.CutPrefix(l, "URIs:"); ok {
					for _, u := range strings.Fields(v) {
						all = append(all, found{u, name})
					}
				}
			}
			continue
		}
		for _, l := range strings.Split(b, "\n") {
			fields := strings.Fields(stripOptions(l))
			if len(fields) >= 2 && fields[0] == "deb" {
				all = append(all, found{fields[1], name})
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return debianRank(all[i].url) < debianRank(all[j].url) })
	for _, a := range all {
		f.add(a.url, a.from)
	}
}

func debianRank(u string) int {
	switch strings.TrimRight(u, "/")[strings.LastIndexByte(strings.TrimRight(u, "/"), '/')+1:] {
	case "debian":
		return 0
	case "debian-security":
		return 1
	}
	return 2
}

// stripOptions takes the `[arch=amd64 signed-by=…]` out of a one-line apt source.
func stripOptions(l string) string {
	i, j := strings.IndexByte(l, '['), strings.IndexByte(l, ']')
	if i >= 0 && j > i {
		return l[:i] + " " + l[j+1:]
	}
	return l
}

// maven: mirrors and repositories of the settings, then what Maven's own built-in POM says.
func (f *finder) maven() {
	var settings struct {
		Mirrors []struct {
			URL string `xml:"url"`
			Of  string `xml:"mirrorOf"`
		} `xml:"mirrors>mirror"`
		Repositories []struct {
			URL string `xml:"url"`
		} `xml:"profiles>profile>repositories>repository"`
	}
	for _, name := range []string{path.Join(f.env.Home, ".m2/settings.xml"), "/etc/maven/settings.xml"} {
		if b := f.read(name); b != nil && xml.Unmarshal(b, &settings) == nil {
			for _, m := range settings.Mirrors {
				if strings.Contains(m.Of, "*") || strings.Contains(m.Of, "central") {
					f.add(m.URL, name)
				}
			}
			for _, r := range settings.Repositories {
				f.add(r.URL, name)
			}
		}
	}
	if len(f.eps) == 0 {
		f.mavenBuiltin()
	}
}

// mavenBuiltin reads the POM from which every Maven project inherits; it lies in a jar of the installation.
func (f *finder) mavenBuiltin() {
	homes := []string{f.env.Getenv("MAVEN_HOME"), f.env.Getenv("M2_HOME"), "/usr/share/maven"}
	for _, l := range strings.Split(f.ask("mvn", "-v"), "\n") {
		if v, ok := strings.CutPrefix(l, "Maven home:"); ok {
			homes = append([]string{strings.TrimSpace(v)}, homes...)
		}
	}
	for _, home := range homes {
		if home == "" || f.env.FS == nil {
			continue
		}
		entries, _ := fs.ReadDir(f.env.FS, strings.TrimPrefix(home, "/")+"/lib")
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "maven-model-builder") && strings.HasSuffix(e.Name(), ".jar") {
				f.addIf(superPOM(f.read(home+"/lib/"+e.Name())), "Maven's built-in POM in "+home)
			}
		}
		if len(f.eps) > 0 {
			return
		}
	}
}

func superPOM(jar []byte) string {
	z, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return ""
	}
	r, err := z.Open("org/apache/maven/model/pom-4.0.0.xml")
	if err != nil {
		return ""
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	var pom struct {
		URL string `xml:"repositories>repository>url"`
	}
	if err != nil || xml.Unmarshal(b, &pom) != nil {
		return ""
	}
	return pom.URL
}

// crates: source replacement and registries of cargo's configuration.
func (f *finder) crates() {
	f.fromEnv("CARGO_REGISTRIES_CRATES_IO_INDEX", one)
	var c struct {
		Source map[string]struct {
			Registry    string `toml:"registry"`
			ReplaceWith string `toml:"replace-with"`
		} `toml:"source"`
	}
	home := f.env.Getenv("CARGO_HOME")
	if home == "" {
		home = path.Join(f.env.Home, ".cargo")
	}
	for _, name := range []string{path.Join(home, "config.toml"), path.Join(home, "config")} {
		if b := f.read(name); b != nil && toml.Unmarshal(b, &c) == nil {
			s := c.Source["crates-io"]
			f.addIf(strings.TrimPrefix(c.Source[s.ReplaceWith].Registry, "sparse+"), name)
		}
	}
}

// parseINI reads `key = value` lines; keys in a section are `section.key`. Values lose quotes; continuation lines
// (indented) are joined by a space. Good for pip.conf, .npmrc and Go's env file.
func parseINI(b []byte) map[string]string {
	m := map[string]string{}
	section, last := "", ""
	for _, l := range strings.Split(string(b), "\n") {
		t := strings.TrimSpace(l)
		switch {
		case t == "" || t[0] == '#' || t[0] == ';':
		case t[0] == '[' && strings.HasSuffix(t, "]"):
			section = strings.Trim(t, "[]") + "."
		case l[0] == ' ' || l[0] == '\t':
			m[last] = strings.TrimSpace(m[last] + " " + t)
		default:
			k, v, _ := strings.Cut(t, "=")
			// The key of a token holds colons and slashes and may hold no `=`, so the first one is the separator.
			last = section + strings.TrimSpace(k)
			m[last] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return m
}

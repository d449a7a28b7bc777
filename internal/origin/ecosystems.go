package origin

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
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
		f.fromEnv(v, namedURLs)
	}
	conf := f.configHome()
	for _, name := range []string{path.Join(conf, "uv/uv.toml"), "/etc/uv/uv.toml"} {
		f.uvToml(name)
	}
	files := []string{f.env.Getenv("PIP_CONFIG_FILE"), path.Join(conf, "pip/pip.conf"),
		path.Join(f.env.Home, ".pip/pip.conf"), "/etc/xdg/pip/pip.conf", "/etc/pip.conf"}
	for _, name := range files {
		ini := parseINI(f.read(name))
		for _, k := range []string{"global.index-url", "global.index_url"} {
			f.addIf(ini[k], name)
		}
		for _, k := range []string{"global.extra-index-url", "global.extra_index_url"} {
			for _, u := range strings.Fields(ini[k]) {
				f.add(u, name)
			}
		}
	}
	if len(f.eps) == 0 {
		f.addIf(f.ask("python3", "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"), "answer of pip")
	}
}

// namedURLs splits a list of addresses, each of which may have a name in front: `internal=https://…`.
func namedURLs(s string) []string {
	out := strings.Fields(s)
	for i, u := range out {
		if name, rest, ok := strings.Cut(u, "="); ok && !strings.ContainsAny(name, ":/") {
			out[i] = rest
		}
	}
	return out
}

// configHome is where the user's tools keep their files.
func (f *finder) configHome() string {
	if d := f.env.Getenv("XDG_CONFIG_HOME"); path.IsAbs(d) {
		return d
	}
	return path.Join(f.env.Home, ".config")
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

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return strings.TrimSpace(s[strings.LastIndexByte(s, '\n')+1:])
}

// debian: what apt uses, in both of its formats. Archives of other vendors are asked too and answer that they have no
// such suite, so the ones that look like a Debian archive go first.
func (f *finder) debian() {
	f.fromEnv("HEWN_DEBIAN_MIRROR", strings.Fields)
	var all []aptSource
	read := func(name string) {
		b := string(f.read(name))
		if path.Ext(name) == ".sources" {
			all = append(all, deb822Sources(b, name)...)
		} else {
			all = append(all, listSources(b, name)...)
		}
	}
	read("/etc/apt/sources.list")
	if f.env.FS != nil {
		entries, _ := fs.ReadDir(f.env.FS, "etc/apt/sources.list.d")
		for _, e := range entries {
			if ext := path.Ext(e.Name()); ext == ".list" || ext == ".sources" { // apt reads no others
				read("/etc/apt/sources.list.d/" + e.Name())
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return debianRank(all[i].url) < debianRank(all[j].url) })
	for _, a := range all {
		f.add(a.url, a.from)
	}
}

// aptSource is an archive that apt takes binary packages from.
type aptSource struct{ url, from string }

// listSources reads the one-line format.
func listSources(text, from string) (out []aptSource) {
	for _, l := range strings.Split(text, "\n") {
		fields := strings.Fields(stripOptions(l))
		if len(fields) >= 2 && fields[0] == "deb" {
			out = append(out, aptSource{fields[1], from})
		}
	}
	return out
}

// deb822Sources reads the format of paragraphs. What is switched off, or has no binary packages, is left out.
func deb822Sources(text, from string) (out []aptSource) {
	fields, last := map[string]string{}, ""
	finish := func() {
		types, off := strings.Fields(fields["types"]), strings.ToLower(fields["enabled"])
		if slices.Contains(types, "deb") && off != "no" && off != "false" && off != "0" {
			for _, u := range strings.Fields(fields["uris"]) {
				out = append(out, aptSource{u, from})
			}
		}
		fields, last = map[string]string{}, ""
	}
	for _, l := range strings.Split(text, "\n") {
		switch t := strings.TrimSpace(l); {
		case t == "":
			finish()
		case l[0] == '#':
		case l[0] == ' ' || l[0] == '\t':
			fields[last] += " " + t
		default:
			k, v, _ := strings.Cut(l, ":")
			last = strings.ToLower(strings.TrimSpace(k))
			fields[last] = strings.TrimSpace(v)
		}
	}
	finish()
	return out
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
	for _, name := range []string{path.Join(f.env.Home, ".m2/settings.xml"), "/etc/maven/settings.xml"} {
		var settings struct {
			Mirrors []struct {
				URL string `xml:"url"`
				Of  string `xml:"mirrorOf"`
				// Blocked mirrors are how Maven forbids plain HTTP: their address leads nowhere.
				Blocked bool `xml:"blocked"`
			} `xml:"mirrors>mirror"`
			Repositories []struct {
				URL string `xml:"url"`
			} `xml:"profiles>profile>repositories>repository"`
		}
		if b := f.read(name); b != nil && xml.Unmarshal(b, &settings) == nil {
			for _, m := range settings.Mirrors {
				if !m.Blocked && mirrorsCentral(m.Of) {
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

// mirrorsCentral says whether the mirrorOf of a mirror covers the repository `central`.
func mirrorsCentral(of string) bool {
	covers := false
	for _, id := range strings.Split(of, ",") {
		switch strings.TrimSpace(id) {
		case "*", "external:*", "central":
			covers = true
		case "!central":
			return false
		}
	}
	return covers
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

// crates: source replacement and registries of cargo's configuration, else what cargo has built in.
func (f *finder) crates() {
	sparse := func(u string) string { return strings.TrimPrefix(u, "sparse+") }
	f.fromEnv("CARGO_REGISTRIES_CRATES_IO_INDEX", func(s string) []string { return []string{sparse(s)} })
	home := f.env.Getenv("CARGO_HOME")
	if home == "" {
		home = path.Join(f.env.Home, ".cargo")
	}
	for _, name := range []string{path.Join(home, "config.toml"), path.Join(home, "config")} {
		var c struct {
			Source map[string]struct {
				Registry    string `toml:"registry"`
				ReplaceWith string `toml:"replace-with"`
			} `toml:"source"`
			Registries map[string]struct {
				Index string `toml:"index"`
			} `toml:"registries"`
		}
		if b := f.read(name); b != nil && toml.Unmarshal(b, &c) == nil {
			// A replacement may itself be replaced; a ring of them ends after as many steps as there are sources.
			at := c.Source["crates-io"].ReplaceWith
			for range c.Source {
				if next := c.Source[at].ReplaceWith; next != "" {
					at = next
				}
			}
			f.addIf(sparse(c.Source[at].Registry), name)
			f.addIf(sparse(c.Registries[at].Index), name)
		}
	}
	if len(f.eps) == 0 {
		f.addIf(f.cargoBuiltin(), "answer of `cargo info`")
	}
}

// cargoRefused is what cargo says of an index that it cannot reach.
var cargoRefused = regexp.MustCompile("failed to download from `(https?://[^`\\s]+)/config\\.json`")

// cargoBuiltin is the index that is built into cargo. No command tells it, but cargo names it when it cannot be reached;
// so it is asked to go through a proxy that nobody can be (port 0 of loopback), and nothing leaves the machine.
func (f *finder) cargoBuiltin() string {
	said := f.complaint("cargo", "--config", `http.proxy="http://127.0.0.1:0"`, "--config", "net.retry=0", "info", "hewn")
	if m := cargoRefused.FindStringSubmatch(said); m != nil {
		return m[1]
	}
	return ""
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
			// In a section (pip's files) a colon separates as well; without one (npm's) a key may hold colons and slashes.
			k, v, _ := strings.Cut(t, "=")
			if i := strings.IndexByte(t, ':'); section != "" && i >= 0 && i < len(k) {
				k, v = t[:i], t[i+1:]
			}
			last = section + strings.TrimSpace(k)
			m[last] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return m
}

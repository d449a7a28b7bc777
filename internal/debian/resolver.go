package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/source"
)

// DefaultSuites is the order in which suites are tried where nobody names one: the first that has every package that
// is asked for.
var DefaultSuites = []string{"stable", "testing", "unstable"}

const maxPackages = 256 << 20 // a compressed index; Debian's largest has 14 MB

// Resolver answers questions of the ecosystem debian by reading signed indexes. It is used in updates only.
// Indexes are kept for the Resolver's life, so that several roots read each once.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
	// Keyring gives the OpenPGP keys that may sign an index, binary or armoured.
	Keyring func() ([]byte, error)
	// MaxIndexAge: 0 obeys the index's own Valid-Until, a negative value accepts any age, any other replaces it.
	MaxIndexAge time.Duration
	// Suites are tried in this order; empty means DefaultSuites.
	Suites []string
	Now    func() time.Time

	mu      sync.Mutex
	indexes map[string]*loaded // by suite and architecture
	used    []string           // suites that gave an answer
}

var _ pins.Resolver = (*Resolver)(nil)

type loaded struct {
	once sync.Once
	x    *index
	err  error
}

// parsedRequest is the lines of a question: `package NAME`, `exclude NAME`, `suite NAME`, `essential`.
type parsedRequest struct {
	request
	suites []string
}

func parseRequest(lines []string) (parsedRequest, error) {
	q := parsedRequest{request: request{exclude: map[string]bool{}}}
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "package":
			r, err := parseRelation(rest)
			if err != nil || len(r) != 1 {
				return q, diag.Inputf("debian-request", "%q asks for no package", line).Because(err)
			}
			q.packages = append(q.packages, r[0])
		case "exclude":
			q.exclude[rest] = true
		case "suite":
			q.suites = append(q.suites, rest)
		case "essential":
			q.essential = true
		default:
			return q, diag.Inputf("debian-request", "%q is nothing that a root can ask for", line).
				Hint("use `package`, `exclude`, `suite` or `essential`")
		}
	}
	return q, nil
}

// Resolve gives the closure of the request in the first suite that has every package it asks for.
func (r *Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	req, err := parseRequest(q.Request)
	if err != nil {
		return nil, err
	}
	suites := req.suites
	if len(suites) == 0 {
		suites = r.Suites
	}
	if len(suites) == 0 {
		suites = DefaultSuites
	}
	arch := Arch(q.Platform)
	var lacks []string
	for _, suite := range suites {
		x, err := r.index(ctx, suite, arch)
		if errors.Is(err, fetch.ErrGone) && len(suites) > 1 {
			lacks = append(lacks, fmt.Sprintf("%s: no origin has this suite", suite))
			continue
		}
		if err != nil {
			return nil, err
		}
		if missing := x.lacking(req.request); len(missing) > 0 {
			lacks = append(lacks, fmt.Sprintf("%s lacks %s", suite, strings.Join(missing, ", ")))
			continue
		}
		pkgs, err := closure(x, req.request)
		if err != nil {
			return nil, fmt.Errorf("%s in suite %s: %w", q.Set, suite, err)
		}
		r.use(suite)
		return artifacts(pkgs)
	}
	return nil, diag.Failf("debian-no-suite", "no suite has every package of %s", q.Set).With(lacks...).
		Hint("check the names, or name a suite that has them all")
}

func (r *Resolver) use(suite string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.used, suite) {
		r.used = append(r.used, suite)
	}
}

// lacking gives those of the requested packages that nothing in the index satisfies.
func (x *index) lacking(q request) []string {
	var out []string
	for _, g := range q.packages {
		if !slices.ContainsFunc(g, func(a atom) bool { return len(x.candidates(a)) > 0 }) {
			out = append(out, g.String()+x.others(g))
		}
	}
	return out
}

var digits = regexp.MustCompile(`[0-9]+`)

// others names the packages that differ from those of g in numbers only, since the release is what people get wrong:
// " (it has python3.13, python3.14)".
func (x *index) others(g group) string {
	var names []string
	for _, a := range g {
		like, any := digits.ReplaceAllString(a.name, "#"), strings.ContainsAny(a.name, "0123456789")
		for name := range x.packages {
			if any && digits.ReplaceAllString(name, "#") == like {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 || len(names) > 9 {
		return ""
	}
	slices.Sort(names)
	return " (it has " + strings.Join(names, ", ") + ")"
}

func artifacts(pkgs []*pkg) ([]source.Artifact, error) {
	out := make([]source.Artifact, 0, len(pkgs))
	for _, p := range pkgs {
		integrity, err := source.NewIntegrity(source.SHA256, p.sum[:])
		if err != nil || p.sum == ([sha256.Size]byte{}) {
			return nil, fmt.Errorf("the index has no SHA256 for package %s", p.name)
		}
		if path.IsAbs(p.file) || path.Clean(p.file) != p.file || strings.HasPrefix(p.file, "../") {
			return nil, fmt.Errorf("package %s has the file name %q", p.name, p.file)
		}
		out = append(out, source.Artifact{Ecosystem: source.Debian, Name: p.name, Version: p.version,
			File: path.Base(p.file), Path: p.file, Integrity: integrity, Size: p.size})
	}
	return out, nil
}

// Locate is the fetch.Locator of Debian archives: a package lies at its path below the archive's root.
func Locate(_ context.Context, _ fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	if a.Path == "" {
		return fetch.Location{}, fmt.Errorf("package %s has no path in its archive: %w", a.Name, fetch.ErrGone)
	}
	return fetch.Location{Endpoint: e, URL: e.URL + "/" + escapePath(a.Path)}, nil
}

// escapePath escapes what a pool path may hold besides letters: `+` and `~` are fine in a path, `%` and `:` are not.
func escapePath(p string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "#", "%23", "?", "%3f").Replace(p)
}

// index gives the index of a suite, reading it on the first call.
func (r *Resolver) index(ctx context.Context, suite, arch string) (*index, error) {
	r.mu.Lock()
	if r.indexes == nil {
		r.indexes = map[string]*loaded{}
	}
	l := r.indexes[suite+" "+arch]
	if l == nil {
		l = &loaded{}
		r.indexes[suite+" "+arch] = l
	}
	r.mu.Unlock()
	l.once.Do(func() { l.x, l.err = r.load(ctx, suite, arch) })
	return l.x, l.err
}

// load asks the endpoints in order. One that does not have the suite, or whose index is not signed by a known key, is
// passed over: a machine's configuration also names archives of other distributors.
func (r *Resolver) load(ctx context.Context, suite, arch string) (*index, error) {
	if !validName(strings.ReplaceAll(suite, "/", "-")) {
		return nil, diag.Inputf("debian-suite", "%q cannot be the name of a suite", suite)
	}
	endpoints, err := r.Endpoints.For(ctx, source.Debian)
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 0 {
		return nil, diag.Environmentf("debian-origin", "no Debian archive is known to this machine").
			Hint("add to hewn.toml: [mirror.debian] urls = [\"https://mirror.example/debian\"]")
	}
	var problems []error
	for _, e := range endpoints {
		x, err := r.loadFrom(ctx, e, suite, arch)
		if err == nil {
			return x, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if !errors.Is(err, fetch.ErrGone) {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return nil, diag.Failf("debian-suite", "no configured Debian archive has the suite %s", suite).Because(fetch.ErrGone).
		With(endpointLines(endpoints)...)
}

func endpointLines(es []origin.Endpoint) []string {
	var out []string
	for _, e := range es {
		out = append(out, "asked "+e.URL+" ("+e.From+")")
	}
	return out
}

func (r *Resolver) loadFrom(ctx context.Context, e origin.Endpoint, suite, arch string) (*index, error) {
	rel, err := r.release(ctx, e, suite)
	if err != nil {
		return nil, err
	}
	dist := distOf(e, suite)
	x, err := r.packages(ctx, e, dist, rel, arch)
	if err != nil {
		return nil, indexProblem("cannot read the list of packages", dist, err)
	}
	return x, nil
}

func distOf(e origin.Endpoint, suite string) string { return e.URL + "/dists/" + suite }

func indexProblem(what, dist string, err error) *diag.Problem {
	return diag.Failf("debian-index", "%s of %s", what, dist).Because(err)
}

// release reads a suite's InRelease and checks who signed it, which suite it is of and how old it is.
func (r *Resolver) release(ctx context.Context, e origin.Endpoint, suite string) (*release, error) {
	dist := distOf(e, suite)
	raw, err := r.Getter.Get(ctx, e, dist+"/InRelease", "", maxRelease)
	if err != nil {
		return nil, err
	}
	keyBytes, err := r.Keyring()
	if err != nil {
		return nil, indexProblem("cannot verify the index", dist, err).Hint("install the archive's keyring or name it in hewn.toml")
	}
	keys, err := readKeyring(keyBytes)
	if err != nil {
		return nil, indexProblem("cannot verify the index", dist, err)
	}
	rel, err := openRelease(raw, keys, r.Now())
	if err != nil {
		return nil, indexProblem("cannot trust the index", dist, err).Hint("name a keyring that holds the archive's key in hewn.toml")
	}
	if !rel.answersTo(suite) {
		return nil, indexProblem("cannot trust the index", dist, fmt.Errorf("it is that of suite %q (%s)", rel.suite, rel.codename))
	}
	if err := rel.checkAge(r.Now(), r.MaxIndexAge); err != nil {
		return nil, indexProblem("the index is too old", dist, err).Hint("for an archive that stands still set `max-index-age` below `[debian]` in hewn.toml")
	}
	return rel, nil
}

// packages reads the list of packages of component main. gzip first: a third larger than xz and ten times faster to
// read, which is the better bargain on any line over 3 MB/s.
func (r *Resolver) packages(ctx context.Context, e origin.Endpoint, dist string, rel *release, arch string) (*index, error) {
	base := "main/binary-" + arch + "/Packages"
	for _, ext := range []string{".gz", ".xz", ""} {
		f, ok := rel.files[base+ext]
		if !ok {
			continue
		}
		if f.size > maxPackages {
			return nil, fmt.Errorf("%s has %d bytes, more than the limit of %d", base+ext, f.size, maxPackages)
		}
		raw, err := r.indexFile(ctx, e, dist, base+ext, rel.byHash, f)
		if errors.Is(err, fetch.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return readIndex(raw, base+ext, arch)
	}
	return nil, fmt.Errorf("the archive has no packages for %s: %w", arch, fetch.ErrGone)
}

func readIndex(raw []byte, name, arch string) (*index, error) {
	plain, err := archive.Decompress(bytes.NewReader(raw), name)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return parseIndex(io.Reader(plain), arch)
}

// indexFile reads a file that the release vouches for and checks it. By hash first: by name, a mirror in the middle of
// its update gives a file of another release.
func (r *Resolver) indexFile(ctx context.Context, e origin.Endpoint, dist, name string, byHash bool, f indexFile) ([]byte, error) {
	var worst error
	for _, url := range indexURLs(dist, name, byHash, f) {
		raw, err := r.Getter.Get(ctx, e, url, "", f.size)
		if err == nil {
			if got := sha256.Sum256(raw); got == f.sum {
				return raw, nil
			}
			err = fmt.Errorf("%s is not the file that the signed index names (SHA256 %x)", name, f.sum)
		}
		worst = worse(worst, err)
	}
	return nil, worst
}

// worse gives the error that tells more: that a document does not exist tells least.
func worse(a, b error) error {
	if a == nil || errors.Is(a, fetch.ErrGone) {
		return b
	}
	return a
}

func indexURLs(dist, name string, byHash bool, f indexFile) []string {
	urls := []string{dist + "/" + name}
	if byHash {
		urls = slices.Insert(urls, 0, dist+"/"+path.Dir(name)+"/by-hash/SHA256/"+hex.EncodeToString(f.sum[:]))
	}
	return urls
}

// SameSuite says whether two requests leave the suite to hewn, or name the same: then what they share has one version.
func SameSuite(a, b []string) bool {
	named := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, "suite ") })
	}
	return slices.Equal(named(a), named(b))
}

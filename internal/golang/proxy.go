package golang

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/module"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

const (
	// maxList bounds a proxy's list of versions: that of toolchains has about 200 kB after five years.
	maxList = 16 << 20
	// maxToolchain bounds the zip of a toolchain, which has about 75 MB.
	maxToolchain = 1 << 30
)

// NewLocator makes the fetch.Locator of Go: the module proxy protocol says where every file lies, and what has to be
// taken from a module's own repository is made of that.
func NewLocator(repos Repositories) fetch.Locator {
	return func(ctx context.Context, g fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
		switch {
		case e.Only != "" && !module.MatchPrefixPatterns(e.Only, a.Name):
			return fetch.Location{}, fmt.Errorf("is asked for %s only: %w", e.Only, fetch.ErrGone)
		case e.Not != "" && module.MatchPrefixPatterns(e.Not, a.Name):
			return fetch.Location{}, fmt.Errorf("is not asked for %s: %w", e.Not, fetch.ErrGone)
		case e.URL == origin.Direct:
			return direct{g, repos}.locate(ctx, a)
		}
		return locate(e, a)
	}
}

// locate is a file of a module proxy.
func locate(e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	ext := path.Ext(a.File)
	dir, version, err := escape(a.Name, strings.TrimSuffix(a.File, ext))
	if err != nil {
		return fetch.Location{}, err
	}
	return fetch.Location{Endpoint: e, URL: e.URL + "/" + dir + "/@v/" + version + ext}, nil
}

// Resolver answers the question of Toolchain by looking at module proxies. Only `hewn update` uses it.
type Resolver struct {
	Getter    fetch.Getter
	Endpoints origin.Endpoints
	TempDir   string // where a toolchain lies while it is hashed: its h1 hash is none of the zip's bytes
}

// Resolve pins a Go toolchain: an exact release ("go1.24.6"), or the newest of a line ("go1.26.x").
func (r Resolver) Resolve(ctx context.Context, q pins.Question) ([]source.Artifact, error) {
	if !strings.HasPrefix(q.Set, "tool/go") || len(q.Request) != 1 {
		return nil, diag.Inputf("go-question", "Go cannot answer the question `%s`", q.Set)
	}
	eps, err := r.Endpoints.For(ctx, source.Go)
	if err != nil {
		return nil, err
	}
	if len(eps) == 0 {
		return nil, diag.Environmentf("no-origin", "no Go module proxy is configured").
			Hint("add to hewn.toml: [mirror.go] urls = [\"https://proxy.example\"]")
	}
	var errs []error
	var missing *diag.Problem
	for _, e := range eps {
		if e.URL == origin.Direct {
			continue // toolchains are published at proxies only
		}
		a, err := r.from(ctx, e, q)
		if err == nil {
			return []source.Artifact{a}, nil
		}
		if p := (*diag.Problem)(nil); missing == nil && errors.As(err, &p) && p.Code == codeVersion {
			missing = p
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.URL, err))
	}
	if missing != nil {
		return nil, missing
	}
	return nil, fmt.Errorf("toolchain %s for %s: %w", q.Request[0], q.Platform, errors.Join(errs...))
}

func (r Resolver) from(ctx context.Context, e origin.Endpoint, q pins.Question) (source.Artifact, error) {
	release := q.Request[0]
	if line, ok := strings.CutSuffix(release, ".x"); ok {
		b, err := r.Getter.Get(ctx, e, e.URL+"/"+toolchainModule+"/@v/list", "", maxList)
		if err != nil {
			return source.Artifact{}, err
		}
		if release = newestOf(string(b), line, q.Platform); release == "" {
			return source.Artifact{}, noRelease(line, string(b), q.Platform)
		}
	}
	a := source.Artifact{Ecosystem: source.Go, Name: toolchainModule, Version: toolchainVersion(release, q.Platform)}
	a.File = a.Version + ".zip"
	loc, err := locate(e, a)
	if err != nil {
		return a, err
	}
	if a.Integrity, err = r.hash(ctx, loc, a.File); errors.Is(err, fetch.ErrGone) {
		if b, lerr := r.Getter.Get(ctx, e, e.URL+"/"+toolchainModule+"/@v/list", "", maxList); lerr == nil {
			err = noRelease(release, string(b), q.Platform)
		}
	}
	return a, err
}

const codeVersion = "go-version"

// noRelease says that there is no such release, and what the list of a proxy has instead.
func noRelease(release, list string, p platform.Platform) error {
	newest, suffix := "", "."+p.OS+"-"+p.Arch
	for v := range strings.FieldsSeq(list) {
		v, ok := strings.CutSuffix(strings.TrimPrefix(v, "v0.0.1-"), suffix)
		if ok && version.IsValid(v) && version.Compare(v, newest) > 0 {
			newest = v
		}
	}
	line := version.Lang(release)
	have := []string{"there is no release of " + line}
	if of := newestOf(list, line, p); of != "" {
		have = []string{"the newest of its line is " + of}
	}
	if newest != "" {
		have = append(have, "the newest of all is "+newest)
	}
	return diag.Inputf(codeVersion, "there is no `%s` for %s/%s", release, p.OS, p.Arch).With(have...).
		Hint("mend the `toolchain` or `go` line of go.mod: `go get go@latest toolchain@none`")
}

// hash downloads a zip and computes its h1.
func (r Resolver) hash(ctx context.Context, loc fetch.Location, file string) (sum source.Integrity, err error) {
	body, err := r.Getter.Open(ctx, loc.Endpoint, loc.URL)
	if err != nil {
		return sum, err
	}
	defer body.Close()
	f, err := os.CreateTemp(r.TempDir, "go-toolchain-*")
	if err != nil {
		return sum, err
	}
	defer func() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }()
	n, err := io.Copy(f, io.LimitReader(body, maxToolchain+1))
	if err != nil {
		return sum, err
	}
	if n > maxToolchain {
		return sum, fmt.Errorf("%s has more than %d bytes", file, int64(maxToolchain))
	}
	return source.VerifyH1(file, f, n)
}

// newestOf finds the newest release of a line ("go1.26") in a proxy's list of toolchain versions.
func newestOf(list, line string, p platform.Platform) string {
	prefix, suffix := "v0.0.1-"+line, "."+p.OS+"-"+p.Arch
	var patches []int
	for v := range strings.FieldsSeq(list) {
		middle, ok := strings.CutPrefix(v, prefix+".")
		if !ok {
			continue
		}
		if middle, ok = strings.CutSuffix(middle, suffix); !ok {
			continue
		}
		if n, err := strconv.Atoi(middle); err == nil && n >= 0 { // release candidates are no numbers
			patches = append(patches, n)
		}
	}
	if len(patches) == 0 {
		return ""
	}
	return line + "." + strconv.Itoa(slices.MaxFunc(patches, cmp.Compare[int]))
}

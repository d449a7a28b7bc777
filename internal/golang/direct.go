package golang

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
)

// Repositories are git repositories as modules are made of them.
type Repositories interface {
	// URLs gives the addresses of a repository; one that the user has put elsewhere has others than its own.
	URLs(repo string) ([]string, error)
	// Archive calls f with the name of a zip file of all that a commit has, below one directory. rev is a tag, or the
	// first 12 digits of a commit.
	Archive(ctx context.Context, repo, rev string, f func(zip string) error) error
}

// direct makes the files of a module proxy out of a module's own repository, as the go command does.
type direct struct {
	getter fetch.Getter
	repos  Repositories
}

// place is where a module's code may lie: a repository, and the module path that its root stands for.
type place struct{ root, repo string }

// maxPage bounds a page that says where a module's repository is.
const maxPage = 1 << 20

func (d direct) locate(ctx context.Context, a source.Artifact) (fetch.Location, error) {
	places, proxy, err := d.places(ctx, a.Name)
	if err != nil {
		return fetch.Location{}, err
	}
	if proxy != "" {
		return locate(origin.Endpoint{URL: proxy, From: "the page of " + a.Name}, a)
	}
	return fetch.Location{URL: places[0].repo, Make: func(ctx context.Context) (io.ReadCloser, error) {
		var errs []error
		for _, p := range places {
			b, err := d.build(ctx, p, a)
			if err == nil {
				return io.NopCloser(bytes.NewReader(b)), nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}}, nil
}

// places finds a module's repository: by a `.git` in its path, at the place of an alias of its host, or by the page that
// its path has. That page may also name a proxy.
func (d direct) places(ctx context.Context, mod string) (list []place, proxy string, err error) {
	prefix, _, ok := module.SplitPathVersion(mod)
	host, rest, below := strings.Cut(prefix, "/")
	if !ok || !below {
		return nil, "", fmt.Errorf("%s is no path of a module in a repository", mod)
	}
	if i := strings.Index(mod+"/", ".git/"); i >= 0 {
		root := mod[:i+len(".git")]
		return []place{{root, "https://" + root}}, "", nil
	}
	whole := "https://" + prefix
	if urls, err := d.repos.URLs(whole); err != nil || len(urls) > 0 && urls[0] != whole {
		if err != nil {
			return nil, "", err
		}
		// Nothing says how much of the path is the repository's: most have an owner and a name.
		parts := strings.Split(rest, "/")
		for n := len(parts); n > 0; n-- {
			root := host + "/" + strings.Join(parts[:n], "/")
			if p := (place{root, "https://" + root}); n == 2 {
				list = append([]place{p}, list...)
			} else {
				list = append(list, p)
			}
		}
		return list, "", nil
	}
	page, err := d.getter.Get(ctx, origin.Endpoint{URL: "https://" + host}, "https://"+mod+"?go-get=1", "", maxPage)
	if err != nil {
		return nil, "", fmt.Errorf("where the repository of %s is: %w", mod, err)
	}
	for _, im := range goImports(page) {
		if mod != im.root && !strings.HasPrefix(mod, im.root+"/") {
			continue
		}
		switch im.kind {
		case "mod":
			return nil, strings.TrimRight(im.url, "/"), nil
		case "git":
			list = append(list, place{im.root, im.url})
		}
	}
	if len(list) == 0 {
		return nil, "", fmt.Errorf("the page of %s names no git repository", mod)
	}
	return list[:1], "", nil
}

// goImport is what a page says with `<meta name="go-import" content="root kind url">`.
type goImport struct{ root, kind, url string }

// goImports reads the head of a page, as far as it can be read.
func goImports(page []byte) (out []goImport) {
	d := xml.NewDecoder(bytes.NewReader(page))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // what is looked for is ASCII
	d.Strict = false
	for {
		t, err := d.RawToken()
		if err != nil {
			return out
		}
		if e, ok := t.(xml.EndElement); ok && strings.EqualFold(e.Name.Local, "head") {
			return out
		}
		e, ok := t.(xml.StartElement)
		if ok && strings.EqualFold(e.Name.Local, "body") {
			return out
		}
		if !ok || !strings.EqualFold(e.Name.Local, "meta") {
			continue
		}
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[strings.ToLower(a.Name.Local)] = a.Value
		}
		if f := strings.Fields(attr["content"]); attr["name"] == "go-import" && len(f) >= 3 {
			out = append(out, goImport{f[0], f[1], f[2]})
		}
	}
}

// build makes the zip or the go.mod of a module out of the repository at p.
func (d direct) build(ctx context.Context, p place, a source.Artifact) (out []byte, err error) {
	ext := path.Ext(a.File)
	prefix, major, _ := module.SplitPathVersion(a.Name)
	if p.root == a.Name {
		prefix, major = a.Name, "" // the name of the repository ends in a version
	}
	dir := strings.Trim(strings.TrimPrefix(prefix, p.root), "/")
	err = d.repos.Archive(ctx, p.repo, revision(dir, a.Version), func(name string) error {
		z, err := zip.OpenReader(name)
		if err != nil {
			return err
		}
		defer z.Close()
		r := repository{}
		for _, f := range z.File {
			if _, in, _ := strings.Cut(f.Name, "/"); in != "" && !strings.HasSuffix(in, "/") {
				r[in] = f
			}
		}
		at, err := r.find(dir, major)
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.repo, a.Version, err)
		}
		if ext == ".mod" {
			out, err = r.modFile(at, a.Name)
			return err
		}
		var b bytes.Buffer
		files, err := r.files(at)
		if err == nil {
			err = modzip.Create(&b, module.Version{Path: a.Name, Version: a.Version}, files)
		}
		out = b.Bytes()
		return err
	})
	return out, err
}

// revision is the tag of a version of the module in directory dir, or the commit that a pseudo-version names.
func revision(dir, version string) string {
	if module.IsPseudoVersion(version) {
		if rev, err := module.PseudoVersionRev(version); err == nil {
			return rev
		}
	}
	return path.Join(dir, strings.TrimSuffix(version, "+incompatible"))
}

// repository is the files of a commit.
type repository map[string]*zip.File

// find gives the directory of a module: dir, or one below it that is called after the major version. That it is the
// right module is for its hash to say.
func (r repository) find(dir, major string) (string, error) {
	if strings.HasPrefix(major, "/") {
		if below := path.Join(dir, major[1:]); r[path.Join(below, "go.mod")] != nil {
			return below, nil
		}
	}
	if dir != "" && r[path.Join(dir, "go.mod")] == nil {
		return "", fmt.Errorf("there is no go.mod in %s", dir)
	}
	return dir, nil // without a go.mod it is from before there were modules
}

func (r repository) read(name string, limit int64) ([]byte, error) {
	f, ok := r[name]
	if !ok || !f.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	body, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, err
}

// modFile is the go.mod of the module at directory at; where there is none, the go command makes one of a line.
func (r repository) modFile(at, mod string) ([]byte, error) {
	b, err := r.read(path.Join(at, "go.mod"), modzip.MaxGoMod)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Appendf(nil, "module %s\n", modfile.AutoQuote(mod)), nil
	}
	return b, err
}

// files are those below at, and the licence of the repository where there is none of their own.
func (r repository) files(at string) ([]modzip.File, error) {
	var out []modzip.File
	below := at + "/"
	if at == "" {
		below = ""
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if rest, ok := strings.CutPrefix(name, below); ok {
			out = append(out, zipped{rest, r[name]})
		}
	}
	if _, own := r[below+"LICENSE"]; own || at == "" {
		return out, nil
	}
	b, err := r.read("LICENSE", modzip.MaxLICENSE)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	return append(out, licence(b)), err
}

// zipped is a file of a zip, under another name.
type zipped struct {
	name string
	f    *zip.File
}

// Path implements zip.File.
func (z zipped) Path() string { return z.name }

// Lstat implements zip.File.
func (z zipped) Lstat() (fs.FileInfo, error) { return z.f.FileInfo(), nil }

// Open implements zip.File.
func (z zipped) Open() (io.ReadCloser, error) { return z.f.Open() }

// licence is the repository's LICENSE in a module below its root.
type licence []byte

// Path implements zip.File.
func (licence) Path() string { return "LICENSE" }

// Lstat implements zip.File.
func (l licence) Lstat() (fs.FileInfo, error) { return l, nil }

// Open implements zip.File.
func (l licence) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l)), nil }

// Name implements fs.FileInfo.
func (licence) Name() string { return "LICENSE" }

// Size implements fs.FileInfo.
func (l licence) Size() int64 { return int64(len(l)) }

// Mode implements fs.FileInfo.
func (licence) Mode() fs.FileMode { return 0o644 }

// ModTime implements fs.FileInfo.
func (licence) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (licence) IsDir() bool { return false }

// Sys implements fs.FileInfo.
func (licence) Sys() any { return nil }

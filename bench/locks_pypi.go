package main

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// pypiFiles is where the mirror's files for Python lie, below the cache directory, by their paths in uv.lock.
const pypiFiles = "mirror/pypi"

var (
	pypiFile    = regexp.MustCompile(`url = "https://files\.pypi\.example/([^"]+)", hash = "sha256:([0-9a-f]{64})"`)
	pypiPackage = regexp.MustCompile(`(?m)^name = "([^"]+)"`)
	separators  = regexp.MustCompile(`[-_.]+`)
)

// mirrorPypi lays out, as an index does, the wheels and sdists that hewn has for the twin's environment, with what those are
// built with.
func (l *locks) mirrorPypi(ctx context.Context) error {
	return l.filled("mirror-pypi", func() error {
		lock, err := os.ReadFile(filepath.Join(l.repo, "e2e/twin/uv.lock"))
		if err != nil {
			return err
		}
		paths := map[string]string{}
		for _, m := range pypiFile.FindAllStringSubmatch(string(lock), -1) {
			paths[m[2]] = m[1]
		}
		dir, err := l.workspace("workspace", nil)
		if err != nil {
			return err
		}
		steps, err := l.everything(ctx, dir, "bench-venv")
		if err != nil {
			return err
		}
		st, err := disk.Open(l.full())
		if err != nil {
			return err
		}
		defer st.Close()
		for _, s := range steps {
			if s.Kind != "fetch" || s.Output.IsZero() {
				continue
			}
			d, err := st.Directory(ctx, tree.Of(s.Output))
			if err != nil {
				return err
			}
			for _, f := range d.Files {
				if project(f.Name) == "" {
					continue // Debian's
				}
				at := paths[f.Digest.Hex()]
				if at == "" {
					at = path.Join("more", f.Name)
				}
				if err := save(ctx, st, f.Digest, filepath.Join(l.cache, pypiFiles, filepath.FromSlash(at))); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// save writes a blob to a file.
func save(ctx context.Context, st *disk.Store, d digest.Digest, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := st.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// project is the normalised name of the package that a file belongs to; empty for a file of no Python package.
func project(file string) string {
	name := ""
	switch {
	case strings.HasSuffix(file, ".whl"):
		name, _, _ = strings.Cut(file, "-")
	case strings.HasSuffix(file, ".tar.gz"), strings.HasSuffix(file, ".zip"):
		name = file[:max(0, strings.LastIndexByte(file, '-'))]
	}
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}

// projects are all pages of the Python index.
func (m *mirror) projects() map[string][]byte {
	type file struct {
		Name   string            `json:"filename"`
		URL    string            `json:"url"`
		Hashes map[string]string `json:"hashes"`
	}
	files, root := map[string][]file{}, os.DirFS(filepath.Join(m.cache, pypiFiles))
	_ = fs.WalkDir(root, ".", func(at string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			p := project(e.Name())
			files[p] = append(files[p], file{Name: e.Name(), URL: m.base + "/pypi/files/" + at, Hashes: map[string]string{}})
		}
		return err
	})
	pages := map[string][]byte{}
	for name, list := range files {
		pages[name], _ = json.Marshal(map[string]any{"meta": map[string]string{"api-version": "1.0"}, "name": name, "files": list})
	}
	return pages
}

// project is a page of the Python index.
func (m *mirror) project(w http.ResponseWriter, r *http.Request) {
	page, ok := m.simple()[path.Base(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
	_, _ = w.Write(page)
}

// sdists are the packages of the twin's lock that are compiled: of which hewn has fetched the sdist. Of some the mirror has
// a wheel besides, which something else is built with.
func (l *locks) sdists() ([]string, error) {
	lock, err := os.ReadFile(filepath.Join(l.repo, "e2e/twin/uv.lock"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, block := range strings.Split(string(lock), "[[package]]\n")[1:] {
		for _, m := range pypiFile.FindAllStringSubmatch(block, -1) {
			if _, err := os.Stat(filepath.Join(l.cache, pypiFiles, filepath.FromSlash(m[1]))); err == nil && !strings.HasSuffix(m[1], ".whl") {
				out = append(out, pypiPackage.FindStringSubmatch(block)[1])
			}
		}
	}
	return out, nil
}

package index

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"hewn.example/hewn/internal/archive"
	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/python/pep508"
)

// maxSource bounds an unpacked sdist that is read only for its metadata.
const maxSource = 2 << 30

// errSilent is for an sdist whose requirements only its build would tell.
var errSilent = errors.New("it does not say what it needs when installed")

// sdistMetadata reads what an sdist says of itself without running it: PKG-INFO where that is to be relied on (PEP 643),
// else what setuptools has written beside it.
func sdistMetadata(ctx context.Context, g fetch.Getter, e origin.Endpoint, f File) (Metadata, error) {
	b, err := Download(ctx, g, e, f)
	if err == nil {
		err = check(b, f.SHA256)
	}
	if err != nil {
		return Metadata{}, err
	}
	return sourceMetadata(ctx, f.Name, b)
}

func sourceMetadata(ctx context.Context, name string, b []byte) (Metadata, error) {
	files, err := sdistFiles(ctx, name, b)
	if err != nil {
		return Metadata{}, err
	}
	info, ok := files["PKG-INFO"]
	if !ok {
		return Metadata{}, errors.New("it has no PKG-INFO")
	}
	m, err := ParseMetadata(info)
	if err != nil || len(m.Requires) > 0 || static(info) {
		return m, err
	}
	if _, ok := files["egg-info"]; !ok {
		return m, errSilent
	}
	m.Requires, err = eggRequires(files["requires.txt"])
	return m, err
}

// static says that the lack of requirements in a PKG-INFO means that there are none.
func static(info []byte) bool {
	head, _, _ := strings.Cut(strings.ReplaceAll(string(info), "\r\n", "\n"), "\n\n")
	v := ""
	for line := range strings.Lines(head) {
		k, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		switch value = strings.TrimSpace(value); k {
		case "metadata-version":
			v = value
		case "dynamic":
			if value == "requires-dist" {
				return false
			}
		}
	}
	return strings.HasPrefix(v, "2.") && v != "2.0" && v != "2.1"
}

// sdistFiles gives PKG-INFO and, of setuptools' .egg-info, requires.txt; "egg-info" marks that there is such a directory.
func sdistFiles(ctx context.Context, name string, b []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	visit := func(p string, r io.Reader) error {
		_, rest, _ := strings.Cut(strings.TrimPrefix(p, "./"), "/") // without the directory that everything lies in
		key := rest
		if strings.HasSuffix(path.Dir(rest), ".egg-info") {
			files["egg-info"] = nil
			key = path.Base(rest)
			if key != "requires.txt" {
				return nil
			}
		} else if rest != "PKG-INFO" {
			return nil
		}
		text, err := io.ReadAll(io.LimitReader(r, maxMetadata))
		files[key] = text
		return err
	}
	if strings.HasSuffix(name, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return nil, err
		}
		for _, entry := range z.File {
			r, err := entry.Open()
			if err != nil {
				return nil, err
			}
			err = visit(entry.Name, r)
			if err = errors.Join(err, r.Close()); err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	r, err := archive.Decompress(bytes.NewReader(b), name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return files, archive.WalkTar(ctx, io.LimitReader(r, maxSource), visit)
}

// eggRequires reads setuptools' requires.txt: requirements, then sections `[extra:marker]`. Extras are left out: nobody
// asks for extras of what has to be built first.
func eggRequires(b []byte) ([]pep508.Requirement, error) {
	var out []pep508.Requirement
	marker, extra := "", false
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if section, ok := strings.CutPrefix(line, "["); ok {
			var name string
			name, marker, _ = strings.Cut(strings.TrimSuffix(section, "]"), ":")
			extra = name != ""
			continue
		}
		if line == "" || extra {
			continue
		}
		if marker != "" {
			line += " ; " + marker
		}
		r, err := pep508.Parse(line)
		if err != nil {
			return nil, fmt.Errorf("requires.txt: %w", err)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}

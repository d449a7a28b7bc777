// Package index reads simple repositories (PEP 503, 691, 700, 714): which files a project has, where they are and what
// their metadata says. It reads indexes only; artifacts are downloaded by package fetch.
package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/python/pep508"
	"hewn.example/hewn/internal/source"
)

// accept prefers JSON, but takes HTML, which is all that many mirrors serve.
const accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

// maxPage bounds an index page. The largest project known has 30 MB.
const maxPage = 128 << 20

// File is one file of a project.
type File struct {
	Name           string
	URL            string // absolute
	SHA256         string // hex; empty where the index gives none
	RequiresPython string
	UploadTime     string // RFC 3339; empty where the index does not tell
	Size           int64
	Yanked         bool
	Metadata       bool   // the core metadata is served at URL + ".metadata"
	MetadataSHA256 string // of that, where it is given
}

// Project lists the files of a project at one endpoint. It returns an error that wraps fetch.ErrGone where the endpoint
// does not have the project.
func Project(ctx context.Context, g fetch.Getter, e origin.Endpoint, name string) ([]File, error) {
	page := strings.TrimSuffix(e.URL, "/") + "/" + pep508.Normalise(name) + "/"
	b, err := g.Get(ctx, e, page, accept, maxPage)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("index page of %s: %w", name, err)
	}
	var files []File
	if t := bytes.TrimSpace(b); len(t) > 0 && t[0] == '{' {
		files, err = parseJSON(t)
	} else {
		files, base, err = parseHTML(b, base)
	}
	if err != nil {
		return nil, fmt.Errorf("index page of %s: %w", name, err)
	}
	out := files[:0]
	for _, f := range files {
		u, err := base.Parse(f.URL)
		if err != nil || f.Name == "" || strings.ContainsAny(f.Name, "/\\\x00") {
			continue // one odd line must not hide the other files
		}
		u.Fragment = ""
		f.URL = u.String()
		out = append(out, f)
	}
	return out, nil
}

// Locate finds an artifact by its file name in the index at e: index and file hosts differ, so the index is asked.
func Locate(ctx context.Context, g fetch.Getter, e origin.Endpoint, a source.Artifact) (fetch.Location, error) {
	files, err := Project(ctx, g, e, a.Name)
	if err != nil {
		return fetch.Location{}, err
	}
	for _, f := range files {
		if f.Name == a.File {
			return fetch.Location{Endpoint: e, URL: f.URL}, nil
		}
	}
	return fetch.Location{}, fmt.Errorf("the index has `%s` but not the file `%s`: %w", a.Name, a.File, fetch.ErrGone)
}

// flag is a field that is a boolean, or a table or text that stands for true.
type flag struct {
	on     bool
	sha256 string
}

// UnmarshalJSON takes all three forms.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")), bytes.Equal(b, []byte("false")):
		return nil
	case b[0] == '{':
		var sums map[string]string
		if err := json.Unmarshal(b, &sums); err != nil {
			return err
		}
		f.sha256 = sums["sha256"]
	}
	f.on = true
	return nil
}

func parseJSON(b []byte) ([]File, error) {
	var page struct {
		Meta struct {
			Version string `json:"api-version"`
		} `json:"meta"`
		Files []struct {
			Name           string            `json:"filename"`
			URL            string            `json:"url"`
			Hashes         map[string]string `json:"hashes"`
			RequiresPython *string           `json:"requires-python"`
			UploadTime     string            `json:"upload-time"`
			Size           int64             `json:"size"`
			Yanked         flag              `json:"yanked"`
			Core           flag              `json:"core-metadata"`
			DistInfo       flag              `json:"dist-info-metadata"` // the old name of it
		} `json:"files"`
	}
	if err := json.Unmarshal(b, &page); err != nil {
		return nil, err
	}
	if v := page.Meta.Version; v != "" && !strings.HasPrefix(v, "1.") {
		return nil, fmt.Errorf("version %s of the repository API is not known, only 1.x is", v)
	}
	out := make([]File, 0, len(page.Files))
	for _, f := range page.Files {
		if !f.Core.on {
			f.Core = f.DistInfo
		}
		file := File{
			Name: f.Name, URL: f.URL, SHA256: f.Hashes["sha256"], UploadTime: f.UploadTime, Size: f.Size,
			Yanked: f.Yanked.on, Metadata: f.Core.on, MetadataSHA256: f.Core.sha256,
		}
		if f.RequiresPython != nil {
			file.RequiresPython = *f.RequiresPython
		}
		out = append(out, file)
	}
	return out, nil
}

// parseHTML reads the anchors of a PEP 503 page. The base for relative links may be set by the page itself.
func parseHTML(b []byte, base *url.URL) ([]File, *url.URL, error) {
	var out []File
	z := html.NewTokenizer(bytes.NewReader(b))
	z.SetMaxBuf(1 << 20)
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != nil && len(out) == 0 && errors.Is(err, html.ErrBufferExceeded) {
				return nil, base, err
			}
			return out, base, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			switch t.Data {
			case "base":
				for _, a := range t.Attr {
					if u, err := base.Parse(a.Val); a.Key == "href" && err == nil {
						base = u
					}
				}
			case "a":
				if f, ok := anchor(t.Attr); ok {
					out = append(out, f)
				}
			}
		}
	}
}

func anchor(attrs []html.Attribute) (f File, ok bool) {
	for _, a := range attrs {
		switch a.Key {
		case "href":
			link, fragment, _ := strings.Cut(a.Val, "#")
			f.URL = link
			f.SHA256, _ = strings.CutPrefix(fragment, "sha256=")
			if len(f.SHA256) != hex.EncodedLen(sha256.Size) {
				f.SHA256 = ""
			}
			last, _, _ := strings.Cut(link, "?")
			last = last[strings.LastIndexByte(last, '/')+1:]
			if n, err := url.PathUnescape(last); err == nil {
				f.Name = n
			}
		case "data-requires-python":
			f.RequiresPython = a.Val
		case "data-yanked":
			f.Yanked = true
		case "data-core-metadata", "data-dist-info-metadata":
			if a.Val != "false" {
				f.Metadata = true
				f.MetadataSHA256, _ = strings.CutPrefix(a.Val, "sha256=")
				if f.MetadataSHA256 == "true" {
					f.MetadataSHA256 = ""
				}
			}
		}
	}
	return f, f.Name != "" && f.URL != ""
}

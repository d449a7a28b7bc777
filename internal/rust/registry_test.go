package rust

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"hewn.example/hewn/internal/fetch"
	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/source"
)

// documents is a fetch.Getter; what it was asked for is counted.
type documents struct {
	at    map[string]string
	asked map[string]int
}

func (d documents) Get(_ context.Context, _ origin.Endpoint, url, _ string, _ int64) ([]byte, error) {
	d.asked[url]++
	switch s, ok := d.at[url]; {
	case !ok:
		return nil, fetch.ErrGone
	case s == "":
		return nil, errors.New("broken")
	default:
		return []byte(s), nil
	}
}

func (d documents) Open(context.Context, origin.Endpoint, string) (io.ReadCloser, error) {
	return nil, fetch.ErrGone
}

func TestLocate(t *testing.T) {
	sum, err := source.ParseIntegrity("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ endpoint, config, crate, want string }{
		"no marker":   {"https://index.example", `{"dl":"https://index.example/api/v1/crates"}`, "serde", "https://index.example/api/v1/crates/serde/1.0.0+x/download token"},
		"other host":  {"sparse+https://index.example/", `{"dl":"https://files.example/{crate}/{crate}-{version}.crate"}`, "serde", "https://files.example/serde/serde-1.0.0+x.crate"},
		"prefix":      {"https://index.example", `{"dl":"https://files.example/{prefix}/{lowerprefix}/{sha256-checksum}"}`, "SeRde", "https://files.example/Se/Rd/se/rd/" + strings.Repeat("ab", 32)},
		"one letter":  {"https://index.example", `{"dl":"https://files.example/{prefix}/{crate}"}`, "a", "https://files.example/1/a"},
		"three":       {"https://index.example", `{"dl":"https://files.example/{prefix}/{crate}"}`, "abc", "https://files.example/3/a/abc"},
		"a directory": {"file:///srv/crates", "", "serde", "file:///srv/crates/serde-1.0.0+x.crate token"},
	} {
		t.Run(name, func(t *testing.T) {
			d := documents{map[string]string{}, map[string]int{}}
			root := strings.TrimSuffix(strings.TrimPrefix(c.endpoint, "sparse+"), "/")
			if c.config != "" {
				d.at[root+"/config.json"] = c.config
			}
			locate := NewLocator()
			for range 3 {
				loc, err := locate(t.Context(), d, origin.Endpoint{URL: c.endpoint, Token: "secret"},
					source.Artifact{Name: c.crate, Version: "1.0.0+x", File: c.crate + "-1.0.0+x.crate", Integrity: sum})
				got := loc.URL
				if loc.Endpoint.Token != "" {
					got += " token"
				}
				if err != nil || got != c.want {
					t.Errorf("got %s, %v; want %s", got, err, c.want)
				}
			}
			if n := d.asked[root+"/config.json"]; n != 1 {
				t.Errorf("config.json was asked for %d times", n)
			}
		})
	}
}

func TestLocateAsksAgainAfterAnError(t *testing.T) {
	d := documents{map[string]string{"https://a.example/config.json": ""}, map[string]int{}}
	locate := NewLocator()
	a, e := source.Artifact{Name: "serde", Version: "1.0.0"}, origin.Endpoint{URL: "https://a.example"}
	if _, err := locate(t.Context(), d, e, a); err == nil {
		t.Error("a broken answer was taken")
	}
	for _, bad := range []string{"no JSON", "{}"} {
		d.at["https://a.example/config.json"] = bad
		if _, err := locate(t.Context(), d, e, a); err == nil || !strings.Contains(err.Error(), "no `dl`") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	d.at["https://a.example/config.json"] = `{"dl":"https://a.example/{crate}"}`
	if loc, err := locate(t.Context(), d, e, a); err != nil || loc.URL != "https://a.example/serde" {
		t.Errorf("got %v, %v", loc, err)
	}
}

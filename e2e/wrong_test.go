//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// wrongHashes spoils one hash in each lock of the miniature. The build must end with an error that names the artifact, the
// lock and both hashes, and must be as it was once the lock is.
func (w *world) wrongHashes(t *testing.T) {
	for _, c := range []struct {
		file    string
		hash    string // the group is the first digit of the hash
		target  string
		wrongly string
	}{
		{"uv.lock", `idna-[0-9.]+-py3-none-any\.whl", hash = "sha256:([0-9a-f])`, "python-deps", "idna"},
		{"go.sum", `(?m)^github\.com/google/uuid v[0-9.]+ h1:(.)`, "authentik-server", "google/uuid"},
		{"web/package-lock.json", `(?s)"node_modules/lit-html": \{.*?sha512-(.)`, "webui-deps", "lit-html"},
		{"sources.lock", `(?m)^pin debian \S+ media-types .*? sha256:([0-9a-f])`, "assembled", "media-types"},
	} {
		t.Run(filepath.Base(c.file), func(t *testing.T) {
			file := filepath.Join(w.work, miniature, c.file)
			before, err := os.ReadFile(file)
			must(t, err)
			at := regexp.MustCompile(c.hash).FindSubmatchIndex(before)
			if at == nil {
				t.Fatalf("%s has nothing like %s", c.file, c.hash)
			}
			spoiled := append([]byte(nil), before...)
			if spoiled[at[2]] = '0'; before[at[2]] == '0' {
				spoiled[at[2]] = '1'
			}
			must(t, os.WriteFile(file, spoiled, 0o644))
			o := w.first.start(t, "build", miniature+":"+c.target).wait(5 * time.Minute)
			must(t, os.WriteFile(file, before, 0o644))
			if o.code != 1 {
				t.Errorf("`hewn build` with a wrong hash in %s ends with %d", c.file, o.code)
			}
			for _, want := range []string{c.wrongly, "is not what is pinned", filepath.Base(c.file), "expected: ", "got: ", "hint: "} {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("the error does not say %q:\n%s", want, o.stderr)
				}
			}
		})
	}
	got, _ := w.first.build(t, miniature)
	if got[0].Digest != w.digests["assembled"] || got[0].Steps.Run != 0 {
		t.Errorf("with the right hashes again, `build` runs %d steps and gives %s", got[0].Steps.Run, got[0].Digest)
	}
}

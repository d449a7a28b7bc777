package ociregistry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"hewn.example/hewn/internal/testkit/ociregistry"
)

// do makes a request and gives status, headers and body.
func do(t *testing.T, method, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func digestOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(h[:])
}

// TestStrict: what a push does wrong is refused. A lenient registry would let wrong clients pass.
func TestStrict(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{})
	base := r.URL() + "/v2/team/app/"
	_, h, _ := do(t, "POST", base+"blobs/uploads/", "")
	first := r.URL() + h.Get("Location")
	status, h, _ := do(t, "PATCH", first, "hello", "Content-Range", "0-4")
	if status != http.StatusAccepted || h.Get("Range") != "0-4" {
		t.Fatalf("a chunk: %d, range %q", status, h.Get("Range"))
	}
	next := r.URL() + h.Get("Location")
	for _, c := range []struct {
		name, method, url, body, contentRange string
		status                                int
		says                                  string
	}{
		{"an old address", "PATCH", first, " world", "5-10", 400, "BLOB_UPLOAD_INVALID"},
		{"a gap", "PATCH", next, " world", "7-12", 416, "BLOB_UPLOAD_INVALID"},
		{"the same again", "PATCH", next, "hello", "0-4", 416, "BLOB_UPLOAD_INVALID"},
		{"a range of another length", "PATCH", next, " world", "5-99", 416, "BLOB_UPLOAD_INVALID"},
		{"no range", "PATCH", next, " world", "", 400, "BLOB_UPLOAD_INVALID"},
		{"another repository's session", "GET", strings.Replace(next, "team/app", "team/other", 1), "", "", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"another digest", "PUT", next + "&digest=" + digestOf("hallo"), "", "", 400, "DIGEST_INVALID"},
		{"a session that has ended", "GET", next, "", "", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"a manifest without its blobs", "PUT", base + "manifests/v1", `{"mediaType":"application/x","config":{"digest":"` + digestOf("hello") + `","size":5},"layers":[]}`, "", 400, "MANIFEST_BLOB_UNKNOWN"},
		{"a manifest of another type", "PUT", base + "manifests/v1", `{"mediaType":"text/plain"}`, "", 400, "MANIFEST_INVALID"},
		{"a blob that is not there", "GET", base + "blobs/" + digestOf("hello"), "", "", 404, "BLOB_UNKNOWN"},
		{"capital letters", "GET", r.URL() + "/v2/Team/app/blobs/" + digestOf("hello"), "", "", 400, "NAME_INVALID"},
	} {
		header := []string{"Content-Type", "application/x"}
		if c.contentRange != "" {
			header = append(header, "Content-Range", c.contentRange)
		}
		if status, _, body := do(t, c.method, c.url, c.body, header...); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.says)
		}
	}
}

package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRangeEnd(t *testing.T) {
	for in, want := range map[string]int64{"0-0": 0, "0-1": 2, "0-1023": 1024, "bytes=0-9": 10, "": 0, "1-5": -1, "0-": -1, "0--5": -1, "x": -1, "0-99999999999999999999": -1} {
		got, ok := rangeEnd(in)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for in, want := range map[string]time.Duration{
		"":               0,
		"7":              7 * time.Second,
		"-7":             0,
		"odd":            0,
		"99999999999999": 1e6 * time.Second,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		h := http.Header{"Retry-After": {in}, "Date": {now.Format(http.TimeFormat)}}
		if got := retryAfter(h); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// FuzzAnswer: whatever a registry says becomes one line of bounded length.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"errors":[{"code":"DENIED","message":"no","detail":{"a":1}}]}`), "application/json", "0-12")
	f.Add([]byte("\x1b[31mred\r\n\xff"), "text/plain", "5")
	f.Add([]byte(strings.Repeat("é", 400)), "", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, header string) {
		resp := &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {contentType}, "Retry-After": {header}, "Date": {header}}}
		e := newStatusError("PUT", &url.URL{Path: "/v2/a/manifests/b"}, resp, body)
		for _, m := range e.messages {
			if len(m) > 310 || strings.ContainsAny(m, "\x00\n\r\x1b\x7f") || m != strings.ToValidUTF8(m, "?") {
				t.Errorf("%q", m)
			}
		}
		if n, ok := rangeEnd(header); ok && n < 0 {
			t.Errorf("the range %q ends at %d", header, n)
		}
		if d := retryAfter(resp.Header); d < 0 {
			t.Errorf("wait %v after %q", d, header)
		}
	})
}

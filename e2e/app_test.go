//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is an application that `hewn up` keeps up.
type running struct {
	*invocation
	base     string // of the addresses
	page     string // the printed one
	password string
	ready    time.Duration
}

// up starts the miniature and waits for its address.
func (w *world) up(t *testing.T, limit time.Duration) *running {
	t.Helper()
	i := w.first.start(t, "up", miniature, "--state", w.state)
	timer := time.AfterFunc(limit, func() { _ = i.cmd.Process.Signal(syscall.SIGINT) })
	defer timer.Stop()
	page, err := i.stdout.find(func(l string) bool { return strings.HasPrefix(l, "http://") })
	if err != nil {
		t.Fatalf("`hewn up` printed no address within %s: %v\n%s", limit, err, i.stderr.tail(60))
	}
	r := &running{invocation: i, page: page, ready: time.Since(i.began)}
	u, err := url.Parse(page)
	must(t, err)
	r.base = "http://" + u.Host
	welcome, err := i.stderr.find(func(l string) bool { return strings.Contains(l, "with the password") })
	if err != nil {
		t.Fatalf("`hewn up` printed no password:\n%s", i.stderr.tail(20))
	}
	r.password = welcome[strings.LastIndexByte(welcome, ' ')+1:]
	return r
}

// interrupt presses Ctrl-C and waits for the end.
func (r *running) interrupt(t *testing.T) outcome {
	t.Helper()
	must(t, r.cmd.Process.Signal(syscall.SIGINT))
	o := r.wait(60 * time.Second)
	if o.code != 0 {
		t.Errorf("`%s` ended with code %d after Ctrl-C\n%s", r.text, o.code, r.stderr.tail(30))
	}
	r.gone(t)
	return o
}

// gone checks that nobody listens any more and that nothing of hewn's is mounted here.
func (r *running) gone(t *testing.T) {
	t.Helper()
	if resp, err := http.Get(r.base + "/-/health/live/"); err == nil {
		resp.Body.Close()
		t.Errorf("something still answers at %s", r.base)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for l := range strings.Lines(string(mounts)) {
		if strings.Contains(l, "hewn-e2e-") {
			t.Errorf("still mounted: %s", l)
		}
	}
}

// client is a browser, or nearly so.
type client struct {
	t     *testing.T
	base  string
	token string
	http  http.Client
}

func (r *running) client(t *testing.T) *client {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &client{t: t, base: r.base, http: http.Client{Jar: jar, Timeout: 60 * time.Second}}
}

// do sends a request and gives status and text.
func (c *client) do(method, path string, body any) (int, string) {
	c.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		must(c.t, err)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, c.base+path, in)
	must(c.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Referer", c.base+"/")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, k := range c.http.Jar.Cookies(req.URL) {
		if k.Name == "authentik_csrf" {
			req.Header.Set("X-authentik-CSRF", k.Value)
		}
	}
	resp, err := c.http.Do(req)
	must(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	must(c.t, err)
	return resp.StatusCode, string(b)
}

// api calls an operation, which must answer with a status, and decodes what it answers.
func (c *client) api(method, path string, body any, want int) map[string]any {
	c.t.Helper()
	status, text := c.do(method, "/api/v3"+path, body)
	if status != want {
		c.t.Fatalf("%s %s: %d instead of %d: %.1000s", method, path, status, want, text)
	}
	var out map[string]any
	if text != "" {
		must(c.t, json.Unmarshal([]byte(text), &out))
	}
	return out
}

var assets = regexp.MustCompile(`(?:src|href)="(/static/[^"?]+)`)

// use does what a person does with a new installation, and leaves an application with the given slug behind.
func (r *running) use(t *testing.T, slug string) {
	c := r.client(t)
	for _, path := range []string{"/-/health/live/", "/-/health/ready/"} {
		if status, text := c.do("GET", path, nil); status != 200 && status != 204 {
			t.Errorf("%s: %d: %s", path, status, text)
		}
	}
	// Whoever has not logged in is sent to the log-in page.
	status, html := c.do("GET", strings.TrimPrefix(r.page, r.base), nil)
	files := assets.FindAllStringSubmatch(html, -1)
	if status != 200 || !strings.Contains(html, "FlowInterface") {
		t.Fatalf("the printed address does not lead to the log-in page: %d: %.500s", status, html)
	}
	for _, f := range files {
		if status, body := c.do("GET", f[1], nil); status != 200 || body == "" {
			t.Errorf("the log-in page names %s, which gives %d and %d bytes", f[1], status, len(body))
		}
	}
	if status, _ := c.do("POST", "/api/v3/core/login/", map[string]string{"username": "akadmin", "password": "wrong"}); status != 401 {
		t.Errorf("a wrong password gives %d", status)
	}
	login := c.api("POST", "/core/login/", map[string]string{"username": "akadmin", "password": r.password}, 200)
	if status, html := c.do("GET", strings.TrimPrefix(r.page, r.base), nil); status != 200 || !strings.Contains(html, "AdminInterface") {
		t.Errorf("logged in, the printed address gives %d: %.500s", status, html)
	}
	api := r.client(t)
	if status, _ := api.do("GET", "/api/v3/core/users/me/", nil); status != 401 && status != 403 {
		t.Errorf("without a log-in, the API answers %d", status)
	}
	api.token, _ = login["token"].(string)
	if me := api.api("GET", "/core/users/me/", nil, 200)["user"].(map[string]any)["username"]; me != "akadmin" {
		t.Errorf("the token is %v's", me)
	}
	api.api("POST", "/core/applications/", map[string]string{"name": "Made by a test", "slug": slug}, 201)
	r.has(t, api, slug)
	task := api.api("POST", "/core/applications/"+slug+"/check/", map[string]any{}, 202)
	path := fmt.Sprintf("/events/tasks/%v/", task["uuid"])
	for end := time.Now().Add(time.Minute); task["state"] != "done"; time.Sleep(100 * time.Millisecond) {
		if task = api.api("GET", path, nil, 200); task["state"] == "error" || time.Now().After(end) {
			t.Fatalf("the worker's task: %v", task)
		}
	}
	t.Logf("log-in page with %d files, log-in, API and worker answer as they should", len(files))
}

// has checks that an application is listed.
func (r *running) has(t *testing.T, c *client, slug string) {
	t.Helper()
	if c.token == "" {
		login := c.api("POST", "/core/login/", map[string]string{"username": "akadmin", "password": r.password}, 200)
		c.token, _ = login["token"].(string)
	}
	list, _ := c.api("GET", "/core/applications/?search="+slug, nil, 200)["results"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["slug"] != slug {
		t.Errorf("the application %s is not listed, but %v", slug, list)
	}
}

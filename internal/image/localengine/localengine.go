// Package localengine brings an image into a container engine of this machine, Docker or podman, through the engine API
// that both of them have. It finds the engine's socket where the engines' own tools would, given the environment as
// arguments.
package localengine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"hewn.example/hewn/internal/diag"
)

const (
	// pingTime is how long an engine may take to say that it is there. They answer in milliseconds; an engine that is
	// started by its socket needs up to a second or two.
	pingTime = 5 * time.Second
	// answerLimit bounds what is read of an engine's answer, and lineLimit a line of it.
	answerLimit, lineLimit = 4 << 20, 1 << 20
)

// Report is what an engine did with an image.
type Report struct {
	Address string   // of the engine
	Engine  string   // "Docker" or "podman"
	Loaded  []string // the names, or else the IDs, under which it has the image now
}

var errSilent = errors.New("it does not answer")

// Load gives the first of the endpoints that answers the archive that write writes: one that `docker load` reads.
func Load(ctx context.Context, endpoints []Endpoint, write func(io.Writer) error) (Report, error) {
	var tried []string
	denied := ""
	for _, e := range endpoints {
		c, err := e.dial()
		if err == nil {
			err = c.ping(ctx)
		}
		if err == nil {
			defer c.http.CloseIdleConnections()
			return c.load(ctx, write)
		}
		if ctx.Err() != nil {
			return Report{}, context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = e.Address
		}
		tried = append(tried, fmt.Sprintf("%s (%s): %v", e.Address, e.From, plain(err)))
	}
	p := diag.Environmentf("engine-missing", "no container engine answers on this machine").With(tried...)
	if denied != "" {
		p.Hint("`%s` is there, but not for this user: with Docker, its group `docker` may use it", denied)
	}
	return Report{}, p.Hint("start Docker or podman (`systemctl --user start podman.socket`), or name its socket in `DOCKER_HOST`").
		Hint("without an engine, write an archive: `--output docker-archive:FILE`")
}

// plain takes the address off an error, which the line has already.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// client speaks to one engine.
type client struct {
	e       Endpoint
	http    *http.Client
	base    string
	engine  string
	version string // of the API
}

// dial prepares a client; nothing is sent yet.
func (e Endpoint) dial() (*client, error) {
	u, err := url.Parse(e.Address)
	if err != nil {
		return nil, errors.New("this is no address")
	}
	t := &http.Transport{DisableCompression: true}
	c := &client{e: e, http: &http.Client{Transport: t}, base: "http://engine"}
	switch u.Scheme {
	case "unix":
		name := u.Path
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", name)
		}
		return c, nil
	case "tcp", "http", "https":
		c.base = "http://" + u.Host
	default:
		return nil, fmt.Errorf("hewn does not speak `%s://`: forward the socket to this machine", u.Scheme)
	}
	if e.CertDir != "" || u.Scheme == "https" {
		c.base = "https://" + u.Host
		t.TLSClientConfig, err = e.tls()
	}
	return c, err
}

// tls reads the certificates with which Docker's own client would go to the engine.
func (e Endpoint) tls() (*tls.Config, error) {
	if e.CertDir == "" {
		return nil, nil
	}
	ca, err := os.ReadFile(filepath.Join(e.CertDir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("`%s` has no certificate", filepath.Join(e.CertDir, "ca.pem"))
	}
	own, err := tls.LoadX509KeyPair(filepath.Join(e.CertDir, "cert.pem"), filepath.Join(e.CertDir, "key.pem"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}, nil
}

var apiVersion = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,3}$`)

// ping asks who is there, and which version of the API it speaks.
func (c *client) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, pingTime, errSilent)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/_ping", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSilent) {
			return errSilent
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, answerLimit))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s, as no engine does", resp.Status)
	}
	c.engine = "Docker"
	if resp.Header.Get("Libpod-Api-Version") != "" {
		c.engine = "podman"
	}
	if v := resp.Header.Get("Api-Version"); apiVersion.MatchString(v) {
		c.version = "/v" + v
	}
	return nil
}

// localError is a failure of whoever writes the archive.
type localError struct{ error }

// Unwrap gives the error.
func (e localError) Unwrap() error { return e.error }

func (c *client) load(ctx context.Context, write func(io.Writer) error) (Report, error) {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		buf := bufio.NewWriterSize(w, 256<<10)
		err := write(buf)
		if err == nil {
			err = buf.Flush()
		}
		switch {
		case err != nil && !errors.Is(err, io.ErrClosedPipe):
			err = localError{err}
			w.CloseWithError(err) // the request breaks off, so that the engine never sees half an archive as a whole one
		default:
			w.Close()
			err = nil
		}
		written <- err
	}()
	report, err := c.post(ctx, r)
	r.Close()
	if local := <-written; local != nil {
		return Report{}, local.(localError).error
	}
	if ctx.Err() != nil {
		return Report{}, context.Cause(ctx)
	}
	return report, err
}

func (c *client) post(ctx context.Context, body io.Reader) (Report, error) {
	report := Report{Address: c.e.Address, Engine: c.engine}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+c.version+"/images/load?quiet=1", body)
	if err != nil {
		return report, err
	}
	req.Header.Set("Content-Type", "application/x-tar")
	resp, err := c.http.Do(req)
	if err != nil {
		return report, diag.Failf("engine-load", "%s broke off while it loaded the image", c.engine).Because(plain(err)).
			Hint("see its log, and whether its disk is full")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, lineLimit))
		var said struct{ Message, Cause string }
		if json.Unmarshal(b, &said) != nil || said.Message == "" {
			said.Message = string(b)
		}
		return report, c.refused(fmt.Sprintf("%s: %s", resp.Status, said.Message))
	}
	report.Loaded, err = c.read(resp.Body)
	return report, err
}

// read reads the lines in which the engine tells what it does. An error comes in them as well, after the status 200.
func (c *client) read(body io.Reader) (loaded []string, err error) {
	lines := bufio.NewScanner(io.LimitReader(body, answerLimit))
	lines.Buffer(nil, lineLimit)
	var name, id []string
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var l struct {
			Stream      string
			Error       string
			ErrorDetail struct{ Message string }
		}
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			return nil, c.refused("its answer is not that of an engine: " + lines.Text())
		}
		if l.Error == "" {
			l.Error = l.ErrorDetail.Message
		}
		if l.Error != "" {
			return nil, c.refused(l.Error)
		}
		for _, s := range strings.Split(l.Stream, "\n") {
			if v, ok := strings.CutPrefix(s, "Loaded image ID: "); ok {
				id = append(id, v)
			} else if v, ok := strings.CutPrefix(s, "Loaded image: "); ok {
				name = append(name, v)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, diag.Failf("engine-load", "%s broke off while it loaded the image", c.engine).Because(plain(err))
	}
	if len(name) == 0 {
		name = id
	}
	return name, nil
}

func (c *client) refused(why string) error {
	why = strings.Join(strings.Fields(strings.ToValidUTF8(why, "?")), " ")
	if len(why) > 500 {
		why = strings.ToValidUTF8(why[:500], "") + "…"
	}
	p := diag.Failf("engine-load", "%s does not load the image", c.engine).Because(errors.New(why))
	switch {
	case strings.Contains(why, "no space left"):
		p.Hint("make room where the engine keeps its images, for example with `%s image prune`", strings.ToLower(c.engine))
	case strings.Contains(why, "zstd"), strings.Contains(why, "invalid tar header"), strings.Contains(why, "compression"):
		p.Hint("an old engine knows no zstd layers: try `--compression gzip`")
	}
	return p
}

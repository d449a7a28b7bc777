package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hewn.example/hewn/internal/image/registry"
)

// realRegistry is Debian's docker-registry with TLS and one user, ada, whose password is `correct horse`.
type realRegistry struct {
	host      string
	transport *http.Transport
	certs     string // a directory as skopeo wants it
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// certificate makes a certificate for the loopback address, signed by itself.
func certificate(t testing.TB, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return write(t, filepath.Join(dir, "ca.crt"), string(text)),
		write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))), pool
}

// passwords is `ada` with `correct horse`, hashed by bcrypt with cost 4, so that the tests do not wait for it.
const passwords = "ada:$2b$04$a2PmAJ0dL2jwsHEfHcsqz.8ROptMuIH3WirhkxttN1twppWuV6vka"

func startReal(t testing.TB) *realRegistry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	dir := t.TempDir()
	cert, key, pool := certificate(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	config := write(t, filepath.Join(dir, "config.yml"), fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: %s, secret: tests, tls: {certificate: %s, key: %s}}
auth: {htpasswd: {realm: tests, path: %s}}
`, dir, host, cert, key, write(t, filepath.Join(dir, "htpasswd"), passwords+"\n")))
	cmd := exec.Command(program, "serve", config)
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := &realRegistry{host: host, transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, certs: dir}
	for range 500 {
		c, err := net.Dial("tcp", host)
		if err == nil {
			c.Close()
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("docker-registry does not start")
	return nil
}

var ada = keys{"ada", "correct horse"}

func (r *realRegistry) config() registry.Config {
	return registry.Config{Transport: r.transport, Keychain: ada, ChunkSize: 1 << 20,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func TestRealRegistry(t *testing.T) {
	r := startReal(t)
	b := newBuild(t)
	base := tarOf(t, 1, 5<<20)
	l := b.index(b.image("amd64", base, tarOf(t, 2, 1000)), b.image("arm64", base, tarOf(t, 3, 1000)))
	ref := r.host + "/team/app:v1"
	push(t, r.config(), b, l, ref)
	if d := pull(t, r.transport, ada, ref); d != l.Top.Digest {
		t.Errorf("pulled %s, pushed %s", d, l.Top.Digest)
	}
	if again := push(t, r.config(), b, l, ref); again.Sent != 0 {
		t.Errorf("the second push sent %d bytes: %v", again.Sent, states(again))
	}
	cfg := r.config()
	cfg.MountFrom = []string{"team/app"}
	if got := push(t, cfg, b, b.layout(base), r.host+"/team/other:v1"); got.Blobs[0].State != mounted {
		t.Errorf("the layer was %s, not mounted", got.Blobs[0].State)
	}
	pull(t, r.transport, ada, r.host+"/team/other:v1")

	cfg = r.config()
	cfg.Keychain = keys{"ada", "wrong"}
	_, err := registry.Push(context.Background(), cfg, l, b.s, ref)
	wantProblem(t, err, problem{"registry-unauthorized", 1, "does not accept you", "docker login"})

	if skopeo, err := exec.LookPath("skopeo"); err == nil {
		out, err := exec.Command(skopeo, "inspect", "--cert-dir", r.certs, "--creds", "ada:correct horse", "--override-arch", "arm64", "docker://"+ref).CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"Architecture": "arm64"`) || !strings.Contains(string(out), l.Top.Digest.String()) {
			t.Errorf("skopeo inspect: %v\n%s", err, out)
		}
	}
}

// cutter breaks connections after so many bytes were written to them, as many times as it is told.
type cutter struct {
	net.Conn
	left *atomic.Int64
	cuts *atomic.Int64
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cuts.Load() > 0 && c.left.Add(-int64(len(p))) < 0 {
		c.cuts.Add(-1)
		c.left.Store(3 << 20)
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

// TestRealRegistryBroken: Debian's registry drops an upload of which a chunk arrived in part, so that the blob begins
// anew; between chunks it keeps it, and a later run goes on from there.
func TestRealRegistryBroken(t *testing.T) {
	r := startReal(t)
	b := newBuild(t)
	l := b.layout(tarOf(t, 1, 10<<20))
	var left, cuts atomic.Int64
	left.Store(3<<20 + 500_000)
	cuts.Store(2)
	broken := r.transport.Clone()
	broken.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &cutter{c, &left, &cuts}, err
	}
	cfg := r.config()
	cfg.Transport = broken
	push(t, cfg, b, l, r.host+"/team/app:v1")
	if cuts.Load() != 0 {
		t.Fatalf("%d breaks did not happen", cuts.Load())
	}
	pull(t, r.transport, ada, r.host+"/team/app:v1")

	ctx, cancel := context.WithCancelCause(context.Background())
	cfg = r.config()
	cfg.Sessions = records{}
	cfg.Progress = func(x registry.Blob) {
		if x.Kind == registry.KindLayer && x.Done > 5<<20 {
			cancel(errors.New("interrupted"))
		}
	}
	ref := r.host + "/team/later:v1"
	if _, err := registry.Push(ctx, cfg, l, b.s, ref); err == nil || err.Error() != "interrupted" {
		t.Fatalf("the push was not ended: %v", err)
	}
	cfg.Progress = nil
	got := push(t, cfg, b, l, ref)
	pull(t, r.transport, ada, ref)
	if layer := got.Blobs[0]; layer.Sent > layer.Desc.Size-5<<20 {
		t.Errorf("the layer has %d bytes, 5 MiB had arrived, and still %d were sent", layer.Desc.Size, layer.Sent)
	}
}

package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"hewn.example/hewn/internal/diag"
)

// Credentials finds user and password for a registry where Docker and podman keep them. It stands in for
// ggcr's default keychain, which reads the environment by itself and cannot say where it found what.
type Credentials struct {
	// Files are asked in order; the first that knows the registry answers. CredentialFiles gives the usual ones.
	Files []string
	// Helper runs `docker-credential-NAME get` with the server on its standard input, and gives its standard output.
	// Where it is nil, files that name helpers give an error.
	Helper func(ctx context.Context, program, server string) ([]byte, error)
}

var _ authn.ContextKeychain = (*Credentials)(nil)

// credentialsLimit is how large a file of credentials, or the answer of a helper, may be.
const credentialsLimit = 1 << 20

// CredentialFiles lists the files in which Docker and podman keep credentials, in the order in which they are asked:
// podman's own variable, Docker's configuration, podman's files.
func CredentialFiles(getenv func(string) string, home string) []string {
	var out []string
	add := func(dir string, name ...string) {
		if dir != "" {
			out = append(out, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	add(getenv("REGISTRY_AUTH_FILE"))
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	add(getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return out
}

// credentialFile is what Docker's config.json and podman's auth.json have in common.
type credentialFile struct {
	Auths       map[string]credentialEntry `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

type credentialEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// found is an authenticator that knows where it comes from.
type found struct {
	authn.AuthConfig
	from string
}

// Authorization implements authn.Authenticator.
func (f *found) Authorization() (*authn.AuthConfig, error) {
	c := f.AuthConfig
	return &c, nil
}

// ResolveContext implements authn.ContextKeychain: credentials for a repository, else for its registry, else none.
func (c *Credentials) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	for _, name := range c.Files {
		f, err := readCredentials(name)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		a, err := c.inFile(ctx, name, f, r)
		if err != nil || a != nil {
			return a, err
		}
	}
	return authn.Anonymous, nil
}

func readCredentials(name string) (*credentialFile, error) {
	r, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Inputf("credentials", "credentials cannot be read").Because(err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, credentialsLimit+1))
	if err != nil || len(b) > credentialsLimit {
		return nil, diag.Inputf("credentials", "credentials cannot be read, or are larger than %d bytes", credentialsLimit).
			At(diag.Position{File: name}).Because(err)
	}
	var f credentialFile
	if err := json.Unmarshal(b, &f); err != nil {
		// The decoder's message may quote what stands in the file, which is secret.
		return nil, diag.Inputf("credentials", "this file of credentials is not the JSON that Docker and podman write").
			At(diag.Position{File: name}).Hint("write it anew with `docker login` or `podman login`")
	}
	return &f, nil
}

// inFile looks a repository up as Docker does: a helper for the registry, then the general helper, then the file itself.
func (c *Credentials) inFile(ctx context.Context, name string, f *credentialFile, r authn.Resource) (authn.Authenticator, error) {
	host := r.RegistryStr()
	for _, helper := range []string{f.CredHelpers[host], f.CredsStore} {
		if helper == "" {
			continue
		}
		a, err := c.ask(ctx, name, helper, host)
		if err != nil || a != nil {
			return a, err
		}
	}
	entries := map[string]credentialEntry{}
	for key, e := range f.Auths {
		if e != (credentialEntry{}) {
			entries[plainKey(key)] = e
		}
	}
	// podman also keeps credentials for a part of a registry: the closest wins.
	for key := r.String(); ; {
		if e, ok := entries[key]; ok {
			return e.authenticator(name)
		}
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			return nil, nil
		}
		key = key[:i]
	}
}

// plainKey takes off what old versions of Docker wrote around the host.
func plainKey(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	key = strings.TrimSuffix(key, "/")
	return strings.TrimSuffix(strings.TrimSuffix(key, "/v1"), "/v2")
}

func (e credentialEntry) authenticator(file string) (authn.Authenticator, error) {
	a := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth != "" {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(e.Auth), "="))
		user, pass, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok {
			return nil, diag.Inputf("credentials", "an `auth` of this file is not `user:password` in base64").
				At(diag.Position{File: file, Key: "auths"}).Hint("write it anew with `docker login` or `podman login`")
		}
		a.Username, a.Password = user, strings.Trim(pass, "\x00")
	}
	return &found{a, "`" + file + "`"}, nil
}

var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ask runs a credential helper. None means that it knows nothing of the host.
func (c *Credentials) ask(ctx context.Context, file, helper, host string) (authn.Authenticator, error) {
	program := "docker-credential-" + helper
	problem := func(err error) error {
		return diag.Environmentf("credentials", "the credential helper `%s`, which `%s` names, gave nothing for `%s`", program, file, host).
			Because(err).Hint("try `echo %s | %s get`", host, program)
	}
	switch {
	case !helperName.MatchString(helper):
		return nil, diag.Inputf("credentials", "`%s` is not the name of a credential helper", helper).At(diag.Position{File: file})
	case c.Helper == nil:
		return nil, problem(errors.New("helpers are not run here"))
	}
	out, err := c.Helper(ctx, program, host)
	if strings.Contains(string(out), "credentials not found") { // the protocol's words, on standard output, with exit code 1
		return nil, nil
	}
	if err != nil {
		return nil, problem(err)
	}
	var answer struct{ Username, Secret string }
	if len(out) > credentialsLimit || json.Unmarshal(out, &answer) != nil {
		return nil, problem(errors.New("its answer is not the JSON of the helpers' protocol"))
	}
	if answer.Secret == "" {
		return nil, nil
	}
	a := authn.AuthConfig{Username: answer.Username, Password: answer.Secret}
	if answer.Username == "<token>" {
		a = authn.AuthConfig{IdentityToken: answer.Secret}
	}
	return &found{a, fmt.Sprintf("the helper `%s` (named in `%s`)", program, file)}, nil
}

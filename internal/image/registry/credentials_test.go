package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/testkit/ociregistry"
)

func TestCredentialFiles(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want []string
	}{
		{nil, []string{"/home/ada/.docker/config.json", "/home/ada/.config/containers/auth.json"}},
		{map[string]string{"DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/a.json", "XDG_RUNTIME_DIR": "/run/7", "XDG_CONFIG_HOME": "/c"},
			[]string{"/a.json", "/d/config.json", "/run/7/containers/auth.json", "/c/containers/auth.json"}},
	} {
		if got := registry.CredentialFiles(func(k string) string { return c.env[k] }, "/home/ada"); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	const adaSecret = "YWRhOnM6ZWNyZXQ=" // ada:s:ecret
	helper := func(_ context.Context, program, server string) ([]byte, error) {
		switch program + " " + server {
		case "docker-credential-good registry.example:5000":
			return []byte(`{"ServerURL":"registry.example:5000","Username":"helped","Secret":"h"}`), nil
		case "docker-credential-token registry.example:5000":
			return []byte(`{"Username":"<token>","Secret":"refresh"}`), nil
		case "docker-credential-none registry.example:5000":
			return []byte("credentials not found in native keychain\n"), errors.New("exit status 1")
		case "docker-credential-odd registry.example:5000":
			return []byte("Password: "), nil
		}
		return nil, errors.New("executable file not found")
	}
	for _, c := range []struct {
		name, first, second string // the contents of two files
		want                authn.AuthConfig
		err                 string
		exit                int
	}{
		{name: "no file"},
		{name: "another registry", first: `{"auths":{"other.example":{"auth":"` + adaSecret + `"}}}`},
		{name: "user and password in base64", first: `{"auths":{"registry.example:5000":{"auth":"` + adaSecret + `"}}}`, want: authn.AuthConfig{Username: "ada", Password: "s:ecret"}},
		{name: "the same as an address", first: `{"auths":{"https://registry.example:5000/v2/":{"auth":"` + adaSecret + `"}}}`, want: authn.AuthConfig{Username: "ada", Password: "s:ecret"}},
		{name: "in plain text", first: `{"auths":{"registry.example:5000":{"username":"a","password":"b"}}}`, want: authn.AuthConfig{Username: "a", Password: "b"}},
		{name: "a token", first: `{"auths":{"registry.example:5000":{"identitytoken":"t"}}}`, want: authn.AuthConfig{IdentityToken: "t"}},
		{name: "the second file", first: `{"auths":{}}`, second: `{"auths":{"registry.example:5000":{"username":"a","password":"b"}}}`, want: authn.AuthConfig{Username: "a", Password: "b"}},
		{name: "the closest part of a registry", first: `{"auths":{"registry.example:5000":{"username":"a","password":"b"},
			"registry.example:5000/team":{"username":"team","password":"b"},"registry.example:5000/te":{"username":"no","password":"b"}}}`, want: authn.AuthConfig{Username: "team", Password: "b"}},
		{name: "a helper for the registry", first: `{"credHelpers":{"registry.example:5000":"good"},"credsStore":"none"}`, want: authn.AuthConfig{Username: "helped", Password: "h"}},
		{name: "a helper for all", first: `{"auths":{"registry.example:5000":{}},"credsStore":"good"}`, want: authn.AuthConfig{Username: "helped", Password: "h"}},
		{name: "a helper with a token", first: `{"credsStore":"token"}`, want: authn.AuthConfig{IdentityToken: "refresh"}},
		{name: "a helper that has none", first: `{"credsStore":"none"}`, second: `{"auths":{"registry.example:5000":{"username":"a","password":"b"}}}`, want: authn.AuthConfig{Username: "a", Password: "b"}},
		{name: "a helper that is missing", first: `{"credsStore":"missing"}`, err: "`docker-credential-missing`", exit: 3},
		{name: "a helper that says something else", first: `{"credsStore":"odd"}`, err: "is not the JSON of the helpers' protocol", exit: 3},
		{name: "a helper with a path", first: `{"credsStore":"../../tmp/x"}`, err: "is not the name of a credential helper", exit: 2},
		{name: "no JSON", first: `{"auths":{"registry.example:5000":{"auth":"` + adaSecret + `"`, err: "config.json: this file of credentials", exit: 2},
		{name: "no base64", first: `{"auths":{"registry.example:5000":{"auth":"%"}}}`, err: "is not `user:password` in base64", exit: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			k := &registry.Credentials{Helper: helper}
			for name, content := range map[string]string{"config.json": c.first, "auth.json": c.second} {
				if content != "" {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			k.Files = []string{filepath.Join(dir, "config.json"), filepath.Join(dir, "auth.json")}
			repo, err := name.NewRepository("registry.example:5000/team/app")
			if err != nil {
				t.Fatal(err)
			}
			a, err := k.ResolveContext(context.Background(), repo)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || diag.ExitCode(err) != c.exit {
					t.Errorf("%v (exit %d), want %q (exit %d)", err, diag.ExitCode(err), c.err, c.exit)
				}
				if err != nil && (strings.Contains(err.Error(), "ecret") || strings.Contains(err.Error(), adaSecret)) {
					t.Errorf("the message has the secret in it: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Authorization()
			if err != nil || *got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// TestCredentialsInErrors: who is refused learns which credentials were used.
func TestCredentialsInErrors(t *testing.T) {
	r := ociregistry.Start(t, ociregistry.Options{User: "ada", Password: "new"})
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"auths":{"`+r.Host()+`":{"username":"ada","password":"old-one"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBuild(t)
	cfg := config(r)
	cfg.Keychain = &registry.Credentials{Files: []string{file}}
	_, err := registry.Push(context.Background(), cfg, b.layout(tarOf(t, 1, 100)), b.s, r.Host()+"/a/b:c")
	wantProblem(t, err, problem{"registry-unauthorized", 1, "does not accept you", "credentials came from `" + file + "`"})
	if strings.Contains(err.Error(), "old-one") {
		t.Errorf("the password is in the message: %v", err)
	}
}

//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// composeFile and deployment are what docs/howto/deploy.md shows, as far as it hangs on the image.
type composeFile struct {
	Services map[string]struct {
		Image, Command string
		Environment    map[string]string
		Ports, Volumes []string
		ReadOnly       bool `yaml:"read_only"`
	}
}

type deployment struct {
	Spec struct {
		Template struct {
			Spec struct {
				SecurityContext struct {
					RunAsUser int `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []struct {
					Args  []string
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
				}
			}
		}
	}
}

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// deployPage compares the files that people are told to deploy with the image.
func (w *world) deployPage(t *testing.T, c v1.Config) {
	page, err := os.ReadFile(filepath.Join(w.repo, "docs/howto/deploy.md"))
	must(t, err)
	blocks := yamlBlock.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/howto/deploy.md has %d files, want the one for compose and the one for Kubernetes", len(blocks))
	}
	var compose composeFile
	must(t, yaml.Unmarshal([]byte(blocks[0][1]), &compose))
	exposed := func(port string) {
		if _, ok := c.ExposedPorts[port+"/tcp"]; !ok {
			t.Errorf("docs/howto/deploy.md uses the port %s, which the image does not expose: %v", port, c.ExposedPorts)
		}
	}
	server, worker := compose.Services["server"], compose.Services["worker"]
	if server.Command != "server" || worker.Command != "worker" || server.Image != worker.Image || !server.ReadOnly || !worker.ReadOnly {
		t.Errorf("the compose file has the server %+v and the worker %+v", server, worker)
	}
	for _, name := range []string{"AUTHENTIK_SECRET_KEY", "AUTHENTIK_POSTGRESQL__HOST", "AUTHENTIK_POSTGRESQL__PASSWORD"} {
		if server.Environment[name] == "" || worker.Environment[name] == "" {
			t.Errorf("the compose file does not set %s for both", name)
		}
	}
	for _, p := range server.Ports {
		_, inside, _ := strings.Cut(p, ":")
		exposed(inside)
	}
	var d deployment
	must(t, yaml.Unmarshal([]byte(blocks[1][1]), &d))
	pod := d.Spec.Template.Spec
	if user, _, _ := strings.Cut(c.User, ":"); user != fmt.Sprint(pod.SecurityContext.RunAsUser) {
		t.Errorf("the deployment runs as %d, the image as %s", pod.SecurityContext.RunAsUser, c.User)
	}
	if len(pod.Containers) != 1 || len(pod.Containers[0].Ports) == 0 {
		t.Fatalf("the deployment has the containers %+v", pod.Containers)
	}
	for _, p := range pod.Containers[0].Ports {
		exposed(fmt.Sprint(p.ContainerPort))
	}
}

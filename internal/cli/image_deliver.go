package cli

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/event"
	"hewn.example/hewn/internal/image/export"
	"hewn.example/hewn/internal/image/layers"
	"hewn.example/hewn/internal/image/localengine"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/store/disk"
)

// deliver brings an image to all the places that were asked for: files first, then the local engine, then registries,
// so that what others see comes last.
func (c *command) deliver(ctx context.Context, p *place, st *disk.Store, m *madeImage, o imageOptions) error {
	img := export.Image{Layout: m.layout, Blobs: st, Names: o.tags}
	for _, out := range o.outputs {
		if err := c.writeImage(ctx, img, out); err != nil {
			return err
		}
	}
	if o.load {
		if err := c.loadImage(ctx, img, m.target); err != nil {
			return err
		}
	}
	for _, ref := range o.push {
		if err := c.pushImage(ctx, p, st, m, ref); err != nil {
			return err
		}
	}
	return nil
}

func (c *command) writeImage(ctx context.Context, img export.Image, out string) error {
	kind, path, err := splitOutput(out)
	if err != nil {
		return err
	}
	path = c.abs(path)
	var s export.Summary
	switch kind {
	case "oci":
		s, err = export.OCIDir(ctx, img, path)
	case "oci-archive":
		s, err = export.OCIArchive(ctx, img, path)
	default:
		s, err = export.DockerArchive(ctx, img, path)
	}
	if err != nil {
		return err
	}
	c.ui().Say("wrote %s: %s (%d of %d blobs new)", path, layers.Bytes(s.Bytes), s.Written, s.Blobs)
	return nil
}

func (c *command) loadImage(ctx context.Context, img export.Image, target string) error {
	if len(img.Names) == 0 {
		img.Names = []string{strings.ToLower(target) + ":latest"} // an image without a name is hard to find again
	}
	r, err := localengine.Load(ctx, localengine.Endpoints(c.sys.getenv, c.sys.home()), func(w io.Writer) error {
		_, err := export.WriteDockerArchive(ctx, img, w)
		return err
	})
	if err != nil {
		return err
	}
	c.ui().Say("loaded %s into %s at %s", strings.Join(r.Loaded, ", "), r.Engine, r.Address)
	return nil
}

func (c *command) pushImage(ctx context.Context, p *place, st *disk.Store, m *madeImage, ref string) error {
	to, err := registry.ParseReference(ref)
	if err != nil {
		return err
	}
	cfg := c.newRegistry(p, st)
	known := pushedTo(st, to.Registry())
	cfg.MountFrom = slices.DeleteFunc(slices.Concat(cfg.MountFrom, known), func(repo string) bool { return repo == to.Repository() })
	cfg.Progress = c.pushProgress(m)
	r, err := registry.Push(ctx, cfg, m.layout, st, ref)
	if err != nil {
		return err
	}
	rememberPush(st, to, known)
	m.pushed = append(m.pushed, r)
	n := countPush(r)
	c.ui().Say("pushed %s: %s sent; of %d blobs and manifests %d new, %d mounted, %d there already",
		r.Reference, layers.Bytes(n.Sent), len(r.Blobs), n.Pushed, n.Mounted, n.Existed)
	return nil
}

// tellFrom is how large a layer is that a person should know of when it is sent.
const tellFrom = 4 << 20

// pushProgress tells of the large layers of a push once they are being sent, and of every byte to those who read events.
func (c *command) pushProgress(m *madeImage) func(registry.Blob) {
	names := map[string]string{}
	for _, d := range m.made.Platforms {
		for _, l := range d.Layers {
			names[l.Digest] = l.Name
		}
	}
	var mu sync.Mutex
	told := map[string]bool{}
	return func(b registry.Blob) {
		mu.Lock()
		defer mu.Unlock()
		id := b.Desc.Digest.String()
		label := cmp.Or(names[id], string(b.Kind))
		c.ui().Event(event.Progress{Label: "push " + label, Done: b.Done, Total: b.Desc.Size})
		if b.State == registry.Pushing && b.Desc.Size >= tellFrom && !told[id] {
			told[id] = true
			c.ui().Say("sending %s (%s)", label, layers.Bytes(b.Desc.Size))
		}
	}
}

// checkDelivery says what cannot be delivered, before anything is built.
func (c *command) checkDelivery(o *imageOptions) error {
	if c.flags.offline && len(o.push) > 0 {
		return diag.Inputf("usage", "--push needs the network, which --offline forbids")
	}
	if len(c.flags.plats) > 1 {
		for _, out := range o.outputs {
			if strings.HasPrefix(out, "docker-archive:") {
				return diag.Inputf("usage", "--output: docker-archive holds one platform, not %d", len(c.flags.plats)).
					Hint("choose one with --platform, or write an oci-archive")
			}
		}
		if o.load {
			return diag.Inputf("usage", "--load: a local engine takes one platform, not %d", len(c.flags.plats)).
				Hint("choose one with --platform")
		}
	}
	return nil
}

// maxRemembered is how many repositories of a registry are asked for layers that they may have: asking costs a request a
// blob.
const maxRemembered = 4

// pushedTo gives the repositories of a registry that images of this store were pushed to, the last first.
func pushedTo(st *disk.Store, host string) []string {
	b, _ := st.LoadRecord("registry-repositories " + host)
	return strings.Fields(string(b))
}

func rememberPush(st *disk.Store, to registry.Reference, known []string) {
	repos := append([]string{to.Repository()}, slices.DeleteFunc(slices.Clone(known), func(r string) bool { return r == to.Repository() })...)
	repos = repos[:min(len(repos), maxRemembered)]
	if !slices.Equal(repos, known) {
		_ = st.SaveRecord("registry-repositories "+to.Registry(), []byte(strings.Join(repos, "\n"))) // without it more travels, no more
	}
}

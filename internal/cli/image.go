package cli

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/image/layers"
	"hewn.example/hewn/internal/image/registry"
	"hewn.example/hewn/internal/oci"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/spec"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/tree"
)

// imageOptions are the flags of `hewn image`.
type imageOptions struct {
	outputs     []string
	push        []string
	tags        []string
	load        bool
	compression string
	plan        bool
	budget      int
	asJSON      bool
}

func (c *command) image() *cobra.Command {
	var o imageOptions
	cmd := &cobra.Command{
		Use:   "image [REF]",
		Short: "Build a reproducible OCI image; write it, push it, load it",
		Long: `Build an image of a recipe and print the digest of its manifest. The image lies in the store; --output writes it out,
--push sends it to a registry, --load hands it to the Docker or podman of this machine. --output, --push and --tag may be given more
than once.

The same sources give the same digest on any machine, for any user, at any time. With --platform linux/amd64,linux/arm64 the image is
an index of one manifest a platform, and its digest that of the index.

--plan cuts the files into layers by what changed together between the versions that the store still has, and writes the cut to
layers.lock, which every later run follows.`,
		Example: `  hewn image authentik
  hewn image authentik --output oci:out/authentik
  hewn image authentik --push registry.example/sso/authentik:2026.2.0
  hewn image examples/miniature --load --tag miniature:dev`,
		Args:        cobra.MaximumNArgs(1),
		Annotations: map[string]string{severalPlatforms: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.Flags().Changed("budget")); err != nil {
				return err
			}
			if err := c.checkDelivery(&o); err != nil {
				return err
			}
			return c.with(arg(args), func(p *place, st *disk.Store) error { return c.makeImage(cmd.Context(), p, st, o) })
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.outputs, "output", "o", nil, "write the image: oci:DIR, oci-archive:FILE or docker-archive:FILE")
	f.StringArrayVar(&o.push, "push", nil, "push the image to this reference, registry.example/name:tag")
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "name by which an archive or a local engine knows the image")
	f.BoolVar(&o.load, "load", false, "load the image into the Docker or podman of this machine")
	f.StringVar(&o.compression, "compression", "", "of the layers: zstd, gzip or none (default: what the recipe says, else zstd)")
	f.BoolVar(&o.plan, "plan", false, "plan the layers anew from the versions in the store, and write layers.lock")
	f.IntVar(&o.budget, "budget", layers.DefaultBudget, "with --plan: how many layers there may be, at most 127")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return cmd
}

func (o *imageOptions) check(budgetSet bool) error {
	switch {
	case !slices.Contains([]string{"", "zstd", "gzip", "none"}, o.compression):
		return diag.Inputf("usage", "--compression: `%s` is none of zstd, gzip, none", o.compression)
	case budgetSet && !o.plan:
		return diag.Inputf("usage", "--budget goes with --plan")
	case o.budget < 1 || o.budget > spec.MaxLayers:
		return diag.Inputf("usage", "--budget: %d is not between 1 and %d", o.budget, spec.MaxLayers)
	}
	for _, out := range o.outputs {
		if _, _, err := splitOutput(out); err != nil {
			return err
		}
	}
	for _, ref := range o.push {
		if _, err := registry.ParseReference(ref); err != nil {
			return err
		}
	}
	return nil
}

// splitOutput reads the form KIND:PATH of --output.
func splitOutput(out string) (kind, path string, err error) {
	kind, path, _ = strings.Cut(out, ":")
	if path == "" || !slices.Contains([]string{"oci", "oci-archive", "docker-archive"}, kind) {
		return "", "", diag.Inputf("usage", "--output: `%s` is not oci:DIR, oci-archive:FILE or docker-archive:FILE", out)
	}
	return kind, path, nil
}

// madeImage is an image that was built, for all platforms.
type madeImage struct {
	target   string
	layout   *oci.Layout
	made     oci.Description
	stats    engine.Stats
	prices   []price // one a platform that has a past
	fresh    bool    // it is not the last one that was made here
	pushed   []registry.Report
	seconds  float64
	versions []layers.Version // of the first platform, oldest first
}

// price is what somebody pulls who has the version before.
type price struct {
	Platform string `json:"platform"`
	From     string `json:"from"`
	To       string `json:"to"`
	Pull     int64  `json:"pull"`
	Total    int64  `json:"total"`
	Changed  int    `json:"changed"`
	Layers   int    `json:"layers"`
	text     string
}

func (c *command) makeImage(ctx context.Context, p *place, st *disk.Store, o imageOptions) error {
	p.image, p.images.compression = true, o.compression
	started := c.sys.Now()
	if o.plan {
		if err := c.planLayers(ctx, p, st, o.budget); err != nil {
			return err
		}
	}
	m, err := c.buildImage(ctx, p, st)
	if err != nil {
		return err
	}
	if m.fresh || o.plan {
		c.tellLayers(m)
		for _, pr := range m.prices {
			c.ui().Say("%s", pr.text)
		}
	}
	if err := c.deliver(ctx, p, st, m, o); err != nil {
		return err
	}
	m.seconds = c.sys.Now().Sub(started).Round(time.Millisecond).Seconds()
	return c.tellImage(m, o)
}

// buildImage builds the image of every platform, keeps in mind what it weighs, and joins them if there are several.
func (c *command) buildImage(ctx context.Context, p *place, st *disk.Store) (*madeImage, error) {
	m := &madeImage{}
	var trees []tree.Tree
	for _, plat := range c.flags.plats {
		c.flags.plat = plat
		res, err := c.buildTarget(ctx, p, st)
		if err != nil {
			return nil, err
		}
		m.target = res.target
		m.stats.Total += res.stats.Total
		m.stats.Run += res.stats.Run
		m.stats.Cached += res.stats.Cached
		if err := c.weigh(ctx, p, st, m, res.tree); err != nil {
			return nil, err
		}
		trees = append(trees, res.tree)
	}
	c.flags.plat = c.flags.plats[0]
	if len(trees) == 1 {
		return m, nil
	}
	whole, err := oci.Join(ctx, st, trees...)
	if err != nil {
		return nil, err
	}
	return m, m.read(ctx, st, whole)
}

// read reads a layout that is the image, or that of one platform of it.
func (m *madeImage) read(ctx context.Context, st *disk.Store, layout tree.Tree) (err error) {
	if m.layout, err = oci.Open(ctx, st, layout); err == nil {
		m.made, err = oci.Describe(ctx, st, layout)
	}
	return err
}

// weigh reads the image of one platform and adds the image of one platform to the history of its target, and finds what the way from the version before
// costs. An image that is the last one of its history already changes nothing.
func (c *command) weigh(ctx context.Context, p *place, st *disk.Store, m *madeImage, layout tree.Tree) error {
	if err := m.read(ctx, st, layout); err != nil {
		return err
	}
	image := m.made.Platforms[0]
	now := layers.Entry{Label: label(m.layout.Images[0], image.Root), Root: image.Root, Manifest: image.Manifest,
		Platform: image.Platform.String()}
	for _, l := range image.Layers {
		now.Layers = append(now.Layers, layers.LayerSize{Digest: l.Digest, Size: l.Size})
	}
	key := historyKey(p, m.target)
	raw, _ := st.LoadRecord(key)
	h, err := layers.ParseHistory(raw)
	if err != nil {
		h = &layers.History{} // there is none, or another version of hewn wrote it: it begins anew
	}
	h.Add(now)
	if next := h.Encode(); string(next) != string(raw) {
		m.fresh = true
		_ = st.SaveRecord(key, next) // without it there is no price next time, no more
	}
	if m.versions == nil {
		m.versions = h.Versions(now.Platform)
	}
	if before, ok := h.Before(now); ok {
		pull, total, changed := layers.Price(before.Layers, now.Layers)
		pr := price{now.Platform, before.Label, now.Label, pull, total, changed, len(now.Layers), layers.Sentence(before.Label, now.Label, before.Layers, now.Layers)}
		if len(c.flags.plats) > 1 {
			pr.text = now.Platform + ": " + pr.text
		}
		m.prices = append(m.prices, pr)
	}
	return nil
}

// historyKey is where the past of an image is kept.
func historyKey(p *place, target string) string {
	return engine.RecordKey("image-history", p.ws.Dir, p.recipe, target)
}

// label is what people call a version of the image: what it says itself, else the beginning of its files' digest.
func label(im oci.Image, root tree.Tree) string {
	const version = "org.opencontainers.image.version"
	for _, v := range []string{im.Config.Config.Labels[version], im.Manifest.Annotations[version]} {
		if v != "" {
			return v
		}
	}
	return root.Digest().Hex()[:12]
}

// planLayers plans the layers of the image from its past, and writes layers.lock.
func (c *command) planLayers(ctx context.Context, p *place, st *disk.Store, budget int) error {
	p.images.unplanned = true
	m, err := c.buildImage(ctx, p, st)
	if err != nil {
		return err
	}
	p.images.unplanned, p.loaded = false, nil
	plan, err := layers.Make(ctx, st, layers.Input{Base: m.made.Platforms[0].Groups, History: m.versions, Budget: budget})
	if err != nil {
		return err
	}
	file, err := p.layerPlan()
	if err != nil {
		return err
	}
	if err := file.Set(m.target, plan); err != nil {
		return err
	}
	if err := writeWhole(p.layersFile(), file.Encode()); err != nil {
		return err
	}
	if len(plan.Gone) > 0 {
		c.ui().Say("hewn: note: no longer in the store, and so without a say: %s", strings.Join(plan.Gone, ", "))
	}
	if !plan.Learned {
		c.ui().Say("one version says nothing about change: the layers are those of the recipe")
	}
	for _, line := range plan.Forecast.Lines() {
		c.ui().Say("%s", line)
	}
	c.ui().Say("wrote %s", p.layersFile())
	return nil
}

// imageLine is what --json prints.
type imageLine struct {
	Target    string       `json:"target"`
	Digest    string       `json:"digest"`
	MediaType string       `json:"mediaType"`
	Images    []imageJSON  `json:"images"`
	Prices    []price      `json:"prices,omitempty"`
	Pushed    []pushedJSON `json:"pushed,omitempty"`
	Steps     engine.Stats `json:"steps"`
	Seconds   float64      `json:"seconds"`
}

// imageJSON is the image of one platform.
type imageJSON struct {
	Platform platform.Platform    `json:"platform"`
	Manifest string               `json:"manifest"`
	Layers   []oci.DescribedLayer `json:"layers"`
}

// pushedJSON is one push: what was sent, and what was there.
type pushedJSON struct {
	Reference string `json:"reference"`
	Sent      int64  `json:"sent"`
	Pushed    int    `json:"pushed"`
	Mounted   int    `json:"mounted"`
	Existed   int    `json:"existed"`
}

// tellLayers shows what an image weighs.
func (c *command) tellLayers(m *madeImage) {
	for _, d := range m.made.Platforms {
		var total int64
		width := 0
		for _, l := range d.Layers {
			total += l.Size
			width = max(width, len(l.Name))
		}
		plural := "s"
		if len(d.Layers) == 1 {
			plural = ""
		}
		c.ui().Say("%s for %s: %s in %d layer%s", m.target, d.Platform, layers.Bytes(total), len(d.Layers), plural)
		for _, l := range d.Layers {
			c.ui().Say("  %-*s  %7s", width, l.Name, layers.Bytes(l.Size))
		}
	}
}

func (c *command) tellImage(m *madeImage, o imageOptions) error {
	if !o.asJSON {
		c.ui().Result(m.layout.Top.Digest.String())
		return nil
	}
	line := imageLine{Target: m.target, Digest: m.layout.Top.Digest.String(), MediaType: string(m.layout.Top.MediaType),
		Prices: m.prices, Steps: m.stats, Seconds: m.seconds}
	for _, d := range m.made.Platforms {
		line.Images = append(line.Images, imageJSON{d.Platform, d.Manifest, d.Layers})
	}
	for _, r := range m.pushed {
		line.Pushed = append(line.Pushed, countPush(r))
	}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	c.ui().Result(string(b))
	return nil
}

// countPush counts what became of the blobs and manifests of a push.
func countPush(r registry.Report) pushedJSON {
	out := pushedJSON{Reference: r.Reference, Sent: r.Sent}
	for _, b := range r.Blobs {
		switch b.State {
		case registry.Pushed:
			out.Pushed++
		case registry.Mounted:
			out.Mounted++
		case registry.Existed:
			out.Existed++
		}
	}
	return out
}

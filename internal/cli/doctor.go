package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/executor/sandbox"
	"hewn.example/hewn/internal/source"
)

func (c *command) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor [REF]",
		Short: "Say what this machine can and cannot do, and which origins were found where",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.examine(cmd.Context(), arg(args))
		},
	}
}

// examine prints everything it finds; it fails only if the machine cannot build at all.
func (c *command) examine(ctx context.Context, ref string) error {
	say := func(format string, args ...any) { c.ui().Result(fmt.Sprintf(format, args...)) }
	say("hewn     %s", programVersion())
	say("store    %s", c.storeDir())
	temp := os.TempDir()
	st, storeErr := c.openStore()
	if storeErr != nil {
		say("         unusable: %v", storeErr)
	} else {
		defer st.Close()
		temp = st.Dir()
	}
	report := sandbox.Probe(temp)
	say("sandbox")
	for _, ch := range report.Checks {
		word := "yes"
		if !ch.OK {
			word = "no "
		}
		say("  %s  %s: %s", word, ch.Name, ch.Detail)
	}
	if report.AppArmorProfile != "" {
		say("  this profile lets hewn make user namespaces:")
		for _, l := range strings.Split(strings.TrimRight(report.AppArmorProfile, "\n"), "\n") {
			say("    %s", l)
		}
	}
	if path, err := exec.LookPath("git"); err == nil {
		say("git      %s", path)
	} else {
		say("git      not found: git sources cannot be fetched")
	}
	p, err := c.place(ref)
	if err != nil {
		return err
	}
	say("origins  (in the order in which they are tried)")
	origins := c.newOrigins(p)
	for _, eco := range []source.Ecosystem{source.Debian, source.PyPI, source.NPM, source.Go, source.Maven, source.Crates} {
		eps, err := origins.For(ctx, eco)
		if err != nil {
			return err
		}
		say("  %s", eco)
		for _, e := range eps {
			say("    %s  from %s", e.URL, e.From)
		}
		if len(eps) == 0 {
			for _, l := range origins.Looked(ctx, eco) {
				say("    %s", l)
			}
			say("    none found; add [mirror.%s] urls = [\"https://…\"] to hewn.toml if you need it", eco)
		}
	}
	if report.Problem != nil {
		return report.Problem
	}
	return storeErr
}

// place is refer for commands that work without a workspace as well.
func (c *command) place(ref string) (*place, error) {
	if p, err := c.refer(ref); err == nil {
		return p, nil
	} else if ref != "." {
		return nil, err
	}
	ws, err := c.workspaceFor(c.sys.Dir)
	if err != nil {
		return nil, err
	}
	return &place{ws: ws}, nil
}

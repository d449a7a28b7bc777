package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/ui"
)

// settings are the flags that every command has. Each has a variable HEWN_<NAME>, which gives its default.
type settings struct {
	store      string
	progress   string
	platform   string
	offline    bool
	keepGoing  bool
	keepFailed bool
	jobs       int

	plat     platform.Platform   // what is built for now
	plats    []platform.Platform // all of --platform; only an image has more than one
	paranoid bool
}

// severalPlatforms marks, as an annotation, a command that takes a list of platforms.
const severalPlatforms = "several-platforms"

func (s *settings) register(f *pflag.FlagSet, sys System) {
	env := func(name string) string {
		return sys.getenv("HEWN_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	}
	str := func(p *string, name, def, help string) {
		if v := env(name); v != "" {
			def = v
		}
		f.StringVar(p, name, def, help)
	}
	flag := func(p *bool, name, help string) {
		v := env(name)
		f.BoolVar(p, name, v != "" && v != "0" && v != "false", help)
	}
	str(&s.store, "store", "", "directory of the store (default $XDG_CACHE_HOME/hewn)")
	str(&s.progress, "progress", string(ui.Auto), "how progress is shown: auto, tty, plain or json")
	str(&s.platform, "platform", platform.Host().String(), "what to build for, as os/arch; an image takes a list")
	flag(&s.offline, "offline", "use no network at all")
	flag(&s.keepGoing, "keep-going", "go on with whatever does not depend on what failed")
	flag(&s.keepFailed, "keep-failed", "keep the root of a failed action")
	jobs, _ := strconv.Atoi(env("jobs"))
	f.IntVarP(&s.jobs, "jobs", "j", jobs, "actions that run at the same time (default: one a processor)")
	s.paranoid = env("paranoid") == "1"
}

// settle checks the flags once; after it they are only read. several says that the command takes several platforms.
func (s *settings) settle(several bool) error {
	switch ui.Mode(s.progress) {
	case ui.Auto, ui.TTY, ui.Plain, ui.JSON:
	default:
		bad := s.progress
		s.progress = string(ui.Auto)
		return diag.Inputf("usage", "--progress: `%s` is none of auto, tty, plain, json", bad)
	}
	if err := s.settlePlatforms(several); err != nil {
		return err
	}
	if s.jobs < 0 || s.jobs > 4096 {
		return diag.Inputf("usage", "--jobs: %s", fmt.Sprint(s.jobs)+" is out of range")
	}
	return nil
}

func (s *settings) settlePlatforms(several bool) error {
	for text := range strings.SplitSeq(s.platform, ",") {
		plat, err := platform.Parse(text)
		if err != nil {
			return diag.Inputf("usage", "--platform").Because(err)
		}
		if plat.OS != "linux" {
			return diag.Inputf("usage", "--platform: hewn builds for linux only, not for %s", plat.OS)
		}
		if slices.Contains(s.plats, plat) {
			return diag.Inputf("usage", "--platform: %s stands twice", plat)
		}
		s.plats = append(s.plats, plat)
	}
	if len(s.plats) > 1 && !several {
		return diag.Inputf("usage", "--platform: only `hewn image` takes more than one platform")
	}
	s.plat = s.plats[0]
	return nil
}

package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/recipe"
	"hewn.example/hewn/internal/workspace"
)

// newWorkspace is the hewn.toml that `hewn init` writes for a bundled recipe.
const newWorkspace = `# What this workspace builds, and where its sources come from. docs/FORMATS.md describes every key.
recipe = %q

# Where git repositories lie; {name} and {path} come from the right side of "upstream:owner/name".
# [alias.upstream]
# urls = ["https://your-forge.example/mirrors/{name}"]

# Or a directory of this machine in the place of a source of the recipe.
# [source.%s]
# path = "."
`

// newRecipe is the recipe that `hewn init` starts with.
const newRecipe = `"""A program in C, compiled and run in a root of Debian packages."""

def hello(t):
    src = write({"/src/hello.c": "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n"})
    return run(
        ["sh", "-ec", "gcc -o /src/hello /src/hello.c && /src/hello > /src/said"],
        layers = [debian.root("c", ["coreutils", "dash", "gcc", "libc6-dev"]), src],
        outputs = ["/src/said"],
    )

target("hello", hello, doc = "what the program says")
`

func (c *command) start() *cobra.Command {
	return &cobra.Command{
		Use:   "init [RECIPE]",
		Short: "Start a workspace here: for a bundled recipe, or with a small recipe of your own",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files := map[string]string{workspace.FileName: "recipe = \".\"\n", recipe.MainFile: newRecipe}
			if len(args) == 1 {
				if err := (&place{}).bundled(args[0]); err != nil {
					return err
				}
				files = map[string]string{workspace.FileName: fmt.Sprintf(newWorkspace, args[0], args[0])}
			}
			for _, name := range []string{workspace.FileName, recipe.MainFile} {
				text, ok := files[name]
				if !ok {
					continue
				}
				if err := writeNew(filepath.Join(c.sys.Dir, name), text); err != nil {
					return err
				}
				c.ui().Say("wrote %s", name)
			}
			c.ui().Say("next: `hewn update`, then `hewn build`")
			return nil
		},
	}
}

func (c *command) eject() *cobra.Command {
	return &cobra.Command{
		Use:   "eject RECIPE DIR",
		Short: "Write a bundled recipe to a directory, for you to own",
		Long: `Write the files of a bundled recipe to a directory. Name that directory as the recipe in hewn.toml, and it is yours to
change.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			p := &place{}
			if err := p.bundled(args[0]); err != nil {
				return err
			}
			dir := c.abs(args[1])
			if err := fs.WalkDir(p.fsys, ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := fs.ReadFile(p.fsys, name)
				if err != nil {
					return err
				}
				return writeNew(filepath.Join(dir, filepath.FromSlash(name)), string(text))
			}); err != nil {
				return err
			}
			c.ui().Say("wrote %s; use it with `recipe = %q` in hewn.toml", args[0], dir)
			return nil
		},
	}
}

// writeNew writes a file that does not exist yet: what is there is somebody's.
func writeNew(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return diag.Environmentf("unwritable", "cannot make `%s`", filepath.Dir(name)).Because(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return diag.Inputf("exists", "`%s` is there already, and stays as it is", name).
			Hint("choose another directory, or move the file away")
	}
	if err == nil {
		_, err = f.WriteString(text)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return diag.Environmentf("unwritable", "cannot write `%s`", name).Because(err)
	}
	return nil
}

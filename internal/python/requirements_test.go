package python

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/pins"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
	"hewn.example/hewn/internal/store/memory"
)

// TestAsPip compares environments with those that `uv pip install -r` made of requirements without hashes.
// requirements_record_test.go says how they are recorded.
func TestAsPip(t *testing.T) {
	for _, c := range readCases(t, "requirements") {
		t.Run(c.name, func(t *testing.T) {
			if c.want[uvLock] == "" {
				t.Fatal("not recorded: see requirements_record_test.go")
			}
			c.locks[reqsFile] = c.files[reqsFile]
			got, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: reqsFile}).install()
			if refused := c.options["refused"]; refused != "" {
				if err == nil || !strings.Contains(problemText(err), refused) {
					t.Fatalf("got  %v\nwant a refusal with %q", problemText(err), refused)
				}
				var p *diag.Problem
				if !errors.As(err, &p) || p.Pos.String() != c.options["at"] {
					t.Errorf("at %v, want %s", p, c.options["at"])
				}
				return
			}
			if err != nil {
				t.Fatal(problemText(err))
			}
			if d := difference(c.want[uvLock], got.String()); d != "" {
				t.Errorf("- as uv, + as hewn\n%s", d)
			}
		})
	}
}

// TestRequirementsPins: an update pins the whole set; a build takes it from the pins only, and refuses a changed file.
func TestRequirementsPins(t *testing.T) {
	ctx := t.Context()
	for _, name := range []string{"closure", "git", "urls", "includes"} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(readCases(t, "requirements"), func(c *oracleCase) bool { return c.name == name })
			c := readCases(t, "requirements")[i]
			install := func(p pins.Pins) error {
				c.locks[reqsFile] = c.files[reqsFile]
				got, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: reqsFile, pins: p}).install()
				if err == nil {
					err = errorIf(difference(c.want[uvLock], got.String()))
				}
				return err
			}
			w := &oracleWorld{oracleCase: c}
			u := pins.NewUpdater(pins.NewLock("sources.lock"), map[source.Ecosystem]pins.Resolver{source.PyPI: w, source.Git: w}, pins.All, nil)
			if err := install(u); err != nil {
				t.Fatal(problemText(err))
			}
			lock, err := pins.ParseLock("sources.lock", u.Result(true, platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"}).Format())
			if err != nil {
				t.Fatal(err)
			}
			if err := install(lock); err != nil {
				t.Errorf("from the pins: %v", problemText(err))
			}
			again := pins.NewUpdater(lock, nil, pins.Missing, nil)
			if err := install(again); err != nil {
				t.Errorf("an update of what is missing asks for what is there: %v", problemText(err))
			}
			_, err = lock.Artifacts(ctx, pins.Question{Ecosystem: source.PyPI, Set: "requirements/" + reqsFile, Platform: linux})
			if err == nil {
				t.Error("the pin answers another question")
			}
			c.files[reqsFile] += "tool<9\n"
			if err = install(lock); err == nil || !strings.Contains(problemText(err), reqsFile) || !strings.Contains(strings.Join(hints(err), " "), "hewn update --missing") {
				t.Errorf("changed: got %v, hints %q", problemText(err), hints(err))
			}
			if err = install(pins.NewLock("sources.lock")); err == nil || !strings.Contains(strings.Join(hints(err), " "), "hewn update --missing") {
				t.Errorf("without pins: got %v, hints %q", problemText(err), hints(err))
			}
		})
	}
}

// TestMirrorsOnly: a URL of the source is not asked where only mirrors may be.
func TestMirrorsOnly(t *testing.T) {
	q := pins.Question{Ecosystem: source.PyPI, Set: "url/a", Platform: linux, Request: []string{"python 3.11", "url https://files.example/a-1.0.zip"}}
	if _, err := (Resolver{MirrorsOnly: true}).Resolve(t.Context(), q); err == nil || !strings.Contains(err.Error(), "only mirrors are asked") {
		t.Error(err)
	}
}

func errorIf(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

func hints(err error) []string {
	var p *diag.Problem
	if !errors.As(err, &p) {
		return nil
	}
	return p.Hints
}

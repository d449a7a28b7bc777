//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// migration is what a next version brings to the database.
const migration = `from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("authentik_core", "0001_initial")]
    operations = [migrations.RunSQL("create table authentik_next (id integer)", "drop table authentik_next")]
`

// nextVersion goes on from the image that is there to one with a migration more: the check boots the one, then the other
// on its database.
func (w *world) nextVersion(t *testing.T) {
	skipped := w.first.must(t, "test", miniature+":migrates").stdout
	if !strings.HasPrefix(skipped, "skip   migrates of image: ") {
		t.Errorf("without an earlier version: %s", skipped)
	}
	previous := filepath.Join(w.dir, "previous")
	was, _ := w.first.image(t, "--output", "oci:"+previous)
	src := filepath.Join(w.work, miniature)
	toml, added := filepath.Join(src, "hewn.toml"), filepath.Join(src, "authentik/core/migrations/0002_next.py")
	settings, err := os.ReadFile(toml)
	must(t, err)
	defer func() {
		must(t, os.WriteFile(toml, settings, 0o644))
		must(t, os.Remove(added))
	}()
	must(t, os.WriteFile(added, []byte(migration), 0o644))
	must(t, os.WriteFile(toml, append(settings, "\n[source.previous]\npath = \""+previous+"\"\n"...), 0o644))

	o := w.first.must(t, "test", miniature+":migrates")
	if !strings.HasPrefix(o.stdout, "ok     migrates of image: ") {
		t.Errorf("with an earlier version: %s", o.stdout)
	}
	t.Logf("from the image %s to the next version: %s", was, o)
	again := w.first.must(t, "test", miniature+":migrates")
	if !strings.Contains(again.stdout, "(cached)") {
		t.Errorf("the same again: %s", again.stdout)
	}
}

package python

import (
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/store/memory"
)

// TestBroken installs from locks that something is wrong with. What `uv sync --frozen` says of each stands in the case:
// broken_record_test.go says how it is recorded. What uv refuses is refused here, with file, line and reason.
func TestBroken(t *testing.T) {
	for _, c := range readCases(t, "broken") {
		t.Run(c.name, func(t *testing.T) {
			said := c.want[uvLock]
			if said == "" {
				t.Fatal("not recorded: see broken_record_test.go")
			}
			c.fill()
			_, err := (&oracleWorld{oracleCase: c, st: memory.New(), lock: uvLock}).install()
			if (said != "installed\n") && err == nil {
				t.Fatalf("uv refuses it: %s", said)
			}
			refused := c.options["refused"]
			if (refused != "") != (err != nil) || !strings.Contains(fmt.Sprint(err), refused) {
				t.Fatalf("got  %v\nwant %s", problemText(err), refused)
			}
			if err == nil || c.options["later"] != "" { // when it is fetched
				return
			}
			var p *diag.Problem
			if !errors.As(err, &p) || p.Pos.File != uvLock || p.Kind != diag.BadInput || fmt.Sprint(p.Pos.Line) != c.options["line"] {
				t.Errorf("not bad input at line %s of the lock: %v", c.options["line"], err)
			}
		})
	}
}

// fill puts the hashes of the case's wheel into its lock.
func (c *oracleCase) fill() {
	for _, b := range c.packed {
		c.locks[uvLock] = strings.NewReplacer("@HASH", fmt.Sprintf("sha256:%x", sha256.Sum256(b)), "@MD5", fmt.Sprintf("%x", md5.Sum(b))).Replace(c.locks[uvLock])
	}
}

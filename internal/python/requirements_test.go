package python

import (
	"strings"
	"testing"

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

package python

import (
	"strings"
	"testing"

	"hewn.example/hewn/internal/lock/uv"
)

// TestConflictSpelling asks for extras that exclude one another in another spelling than the lock's.
func TestConflictSpelling(t *testing.T) {
	l, err := uv.Read("uv.lock", []byte(`version = 1
conflicts = [[{ package = "app", extra = "on-cpu" }, { package = "app", extra = "on-gpu" }], [{ package = "app", group = "a-a" }, { package = "app", extra = "on-cpu" }]]
[[package]]
name = "app"
source = { virtual = "." }
[package.optional-dependencies]
on-cpu = []
on-gpu = []
[package.dev-dependencies]
a-a = []
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		extras, groups []string
		want           string
	}{
		{[]string{"on-cpu", "on-gpu"}, nil, "exclude one another"},
		{[]string{"On_CPU", "on.gpu"}, nil, "exclude one another"},
		{[]string{"ON-cpu"}, []string{"A_A"}, "exclude one another"},
		{[]string{"On_CPU"}, nil, ""},
	} {
		_, err := Select(l, Request{Python: "3.13.5", Platform: linux, Extras: tc.extras, Groups: tc.groups})
		if err != nil && tc.want == "" || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%v %v: got %v, want %q", tc.extras, tc.groups, err, tc.want)
		}
	}
}

package rust

import "testing"

// TestRequirement has what cargo's documentation says of version requirements, and the edges.
func TestRequirement(t *testing.T) {
	for _, c := range []struct {
		req      string
		yes, not []string
	}{
		{"1.2.3", []string{"1.2.3", "1.9.0", "1.2.3+build"}, []string{"1.2.2", "2.0.0", "1.2.3-rc.1", "2.0.0-rc.1", "1.3.0-rc.1"}},
		{"^1.2", []string{"1.2.0", "1.9.9"}, []string{"1.1.9", "2.0.0"}},
		{"1", []string{"1.0.0", "1.9.9"}, []string{"0.9.9", "2.0.0"}},
		{"0.2.3", []string{"0.2.3", "0.2.9"}, []string{"0.3.0", "0.2.2"}},
		{"0.0.3", []string{"0.0.3"}, []string{"0.0.4", "0.1.0"}},
		{"0.0", []string{"0.0.0", "0.0.9"}, []string{"0.1.0"}},
		{"0", []string{"0.0.1", "0.9.9"}, []string{"1.0.0"}},
		{"~1.2.3", []string{"1.2.3", "1.2.9"}, []string{"1.3.0", "1.2.2"}},
		{"~1.2", []string{"1.2.0"}, []string{"1.3.0"}},
		{"~1", []string{"1.9.0"}, []string{"2.0.0"}},
		{"*", []string{"0.0.1", "9.9.9"}, []string{"1.0.0-rc.1"}},
		{"", []string{"1.0.0"}, nil},
		{"1.*", []string{"1.0.0", "1.9.9"}, []string{"2.0.0", "0.9.0"}},
		{"1.2.x", []string{"1.2.9"}, []string{"1.3.0"}},
		{">= 1.2.0", []string{"1.2.0", "9.0.0"}, []string{"1.1.9"}},
		{"> 1", []string{"2.0.0"}, []string{"1.9.9", "1.0.0"}},
		{">1.2.3", []string{"1.2.4"}, []string{"1.2.3"}},
		{"< 2", []string{"1.9.9"}, []string{"2.0.0"}},
		{"<=1.2", []string{"1.2.9", "1.0.0"}, []string{"1.3.0"}},
		{"<=1.2.3", []string{"1.2.3"}, []string{"1.2.4"}},
		{"= 1.2.3", []string{"1.2.3"}, []string{"1.2.4", "1.2.3-rc.1"}},
		{"=1.2", []string{"1.2.7"}, []string{"1.3.0"}},
		{">=1.2, <1.5", []string{"1.2.0", "1.4.9"}, []string{"1.5.0", "1.1.0"}},
		{"=1.0.0-rc.1", []string{"1.0.0-rc.1"}, []string{"1.0.0", "1.0.0-rc.2"}},
		{"1.0.0-rc.2", []string{"1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.1.0"}, []string{"1.0.0-rc.1", "1.1.0-rc.3", "1.0.0-alpha"}},
	} {
		r, ok := parseRequirement(c.req)
		if !ok {
			t.Errorf("%q cannot be read", c.req)
			continue
		}
		for want, list := range map[bool][]string{true: c.yes, false: c.not} {
			for _, s := range list {
				if v, _, ok := parseVersion(s); !ok || r.matches(v) != want {
					t.Errorf("%q and %s: want %v", c.req, s, want)
				}
			}
		}
	}
	for _, bad := range []string{"1.2.3.4", "=>1", "abc", "1 2"} {
		if _, ok := parseRequirement(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

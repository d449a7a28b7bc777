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

func FuzzRequirement(f *testing.F) {
	for _, s := range []string{"1.2.3", "^0", "~1.2", ">=1, <2", "=1.0.0-rc.1+b", "1.*", "*", ",", "<=0.0"} {
		f.Add(s, "1.2.3-rc.1")
	}
	f.Fuzz(func(t *testing.T, req, text string) {
		r, ok := parseRequirement(req)
		v, parts, known := parseVersion(text)
		if !ok || !known || parts < 3 {
			return
		}
		if v.compare(v) != 0 || (requirement{{op: "=", v: v, parts: 3}}).matches(v) != true {
			t.Errorf("%q is not itself", text)
		}
		if r.matches(v) && len(r) == 0 && v.pre != "" {
			t.Errorf("%q takes the pre-release %q", req, text)
		}
	})
}

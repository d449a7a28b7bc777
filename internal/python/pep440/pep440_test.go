package pep440

import (
	"testing"
)

func parse(t *testing.T, s string) Version {
	t.Helper()
	v, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOrder(t *testing.T) {
	// The order of PEP 440's own summary, and what surrounds it.
	order := []string{
		"0.9", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
		"1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5",
		"1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.1", "1!0.1",
	}
	for i := range order {
		for j := range order {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := Compare(parse(t, order[i]), parse(t, order[j])); got != want {
				t.Errorf("Compare(%s, %s) = %d, want %d", order[i], order[j], got, want)
			}
		}
	}
	for _, eq := range [][2]string{{"1.0", "1"}, {"1.0alpha1", "1.0-a.1"}, {"v1.0-1", "1.0.post1"}, {"1.0c1", "1.0rc1"}, {"1.0.DEV", "1.0.dev0"}, {"1.0+AB-1", "1.0+ab.1"}} {
		if Compare(parse(t, eq[0]), parse(t, eq[1])) != 0 {
			t.Errorf("%s and %s must be equal", eq[0], eq[1])
		}
	}
}

func TestNormalForm(t *testing.T) {
	for in, want := range map[string]string{"1.2.5.post1": "1.2.5.post1", "V1!2.0-beta.3_rev4.dev+A_B": "1!2.0b3.post4.dev0+a.b", " 1.0 ": "1.0"} {
		if got := parse(t, in).String(); got != want {
			t.Errorf("%q prints as %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "a", "1.", "1..2", "1.0+", "1.0*", "99999999999999999999", "1.0 0"} {
		if v, err := Parse(bad); err == nil {
			t.Errorf("%q parsed as %s", bad, v)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		spec, version string
		want          bool
	}{
		{"~=3.1", "3.9", true}, {"~=3.1", "4.0", false}, {"~=3.1.2", "3.2", false}, {"~=2.2.post3", "2.2", false}, {"~=1.4.5a4", "1.4.9", true},
		{"==3.14.*", "3.14.8", true}, {"==3.14.*", "3.14.0rc1", true}, {"==3.14.*", "3.1", false}, {"!=1.0.*", "1.0.5", false}, {"!=1.0.*", "1.1", true},
		{"==1.0", "1.0+local", true}, {"==1.0+a", "1.0", false}, {"==1.0+a", "1.0+a", true}, {"!=1.0", "1.0+a", false}, {"<=1.0", "1.0+local", true}, {">=1.0", "1.0+x", true},
		{">1.0", "1.0+local", false}, {">1.0", "1.0.post1", false}, {">1.0.post1", "1.0.post2", true}, {">1.0", "1.0.1", true},
		{"<1.0", "1.0rc1", false}, {"<1.0", "1.0.dev1", false}, {"<1.0rc2", "1.0rc1", true}, {"<1.0", "0.9rc1", true},
		{"===1.0", "1.0", true}, {"===1.0", "1.0.0", false}, {"==1.0.0", "1", true},
		{">=1.0, <2 , !=1.5", "1.5", false}, {"", "7", true}, {">=2!1", "5", false}, {"==1!1.0", "1!1.0.0", true}, {">=3.9,!=3.9.0,!=3.9.1,", "3.14.8", true},
	} {
		s, err := ParseSpecifiers(tc.spec)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.Match(parse(t, tc.version)); got != tc.want {
			t.Errorf("%q matches %s: %v, want %v", tc.spec, tc.version, got, tc.want)
		}
	}
	for _, bad := range []string{"1.0", ">1.*", "~=1", "==", "=1", "===", "^1.0", ">=1.0 <2"} {
		if _, err := ParseSpecifiers(bad); err == nil {
			t.Errorf("%q parsed", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.0", "1!2.0b3.post4.dev0+a.b", "v1-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		w, err := Parse(v.String())
		if err != nil || Compare(v, w) != 0 || w.String() != v.String() {
			t.Fatalf("%q -> %q -> %q, %v", s, v, w, err)
		}
	})
}

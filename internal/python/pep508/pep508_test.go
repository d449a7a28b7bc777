package pep508

import (
	"strings"
	"testing"

	"hewn.example/hewn/internal/platform"
)

func env(t *testing.T) Environment {
	t.Helper()
	e, err := CPython("3.14.8", platform.Platform{OS: "linux", Arch: "amd64", Libc: "glibc"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMarkers(t *testing.T) {
	e := env(t).With("c", "extra-3-foo-bar")
	for _, tc := range []struct {
		marker string
		want   bool
	}{
		{"", true},
		{"python_version >= '3.9'", true}, {"python_version < '3.10'", false}, {"'3.9' <= python_version", true}, {"'3.15' > python_version", true},
		{"python_full_version >= '3.14.9'", false}, {"python_full_version == '3.14.*'", true}, {"python_version ~= '3.0'", true}, {"python_version != '3.14'", false},
		{"python_version in '3.1, 3.14'", true}, {"python_version in '3.1 3.140'", false}, {"python_version not in '3.1 3.140'", true},
		{"sys_platform == 'linux' and platform_machine == 'x86_64'", true}, {"sys_platform == 'win32' or os_name == 'posix'", true},
		{"'linux' in sys_platform", true}, {"'bsd' not in sys_platform", true}, {"sys_platform in 'linux darwin'", true},
		{"(sys_platform == 'win32' or os_name == 'posix') and implementation_name != 'cpython'", false},
		{"sys_platform == 'win32' and os_name == 'posix' or python_version > '3'", true},
		{"extra == 'c'", true}, {"extra == 'C'", true}, {"extra == 'd'", false}, {"extra != 'd'", true}, {"'c' in extras", true},
		{"extra == 'extra-3-foo-bar' or extra == 'group-3-foo-dev'", true},
		{"os.name == 'posix' and python_implementation=='CPython'", true},
		{"platform_release >= '20.0'", false}, {"platform_python_implementation != \"PyPy\"", true},
	} {
		m, err := ParseMarker(tc.marker)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.Holds(e); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.marker, got, tc.want)
		}
	}
	for _, bad := range []string{"python", "python_version", "python_version >=", "python_version >= 3", "'a' == 'b'", "(os_name == 'x'", "os_name == 'x' and", "os_name == 'x' os_name == 'y'", "os_name = 'x'", "os_name == 'x", strings.Repeat("(", 5000)} {
		if _, err := ParseMarker(bad); err == nil {
			t.Errorf("%.40q parsed", bad)
		}
	}
}

func TestRequirements(t *testing.T) {
	for in, want := range map[string]string{
		"Cython>=3.0.11, < 3.2":                       "cython>=3.0.11,<3.2",
		"setuptools (>= 40.8.0)":                      "setuptools>=40.8.0",
		"psycopg[pool , C]==3.3.8;python_version>'3'": "psycopg[c,pool]==3.3.8",
		"Foo.Bar_baz":                                 "foo-bar-baz",
		"a @ https://x.example/a.whl ; os_name=='nt'": "a @ https://x.example/a.whl",
		"tomli>=1.2.2; python_version < \"3.11\"":     "tomli>=1.2.2",
		"b[]": "b",
	} {
		r, err := Parse(in)
		if err != nil || r.String() != want {
			t.Errorf("%q -> %q, %v; want %q", in, r, err, want)
		}
	}
	if r, _ := Parse("tomli; python_version < '3.11'"); r.Marker.Holds(env(t)) {
		t.Error("marker of tomli holds")
	}
	for _, bad := range []string{"", ">=1", "a b", "a[b", "a @ ", "a>=x", "a; b", "a>=1 ; os_name"} {
		if r, err := Parse(bad); err == nil {
			t.Errorf("%q parsed as %+v", bad, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("psycopg[pool , C]==3.3.8;python_version>'3' and ('a' in extras or os_name != \"nt\")")
	e, _ := CPython("3.14.8", platform.Host())
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		if err != nil {
			return
		}
		r.Marker.Holds(e)
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q -> %q -> %q, %v", s, r, again, err)
		}
	})
}

package index

import (
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/origin"
	"hewn.example/hewn/internal/testkit/pyindex"
)

func TestSdistMetadata(t *testing.T) {
	const old, new = "Metadata-Version: 1.2\nName: a\n", "Metadata-Version: 2.2\nName: a\n"
	for _, tc := range []struct {
		name, file string
		content    map[string]string
		want       string
	}{
		{"declared", "a-1.tar.gz", map[string]string{"PKG-INFO": old + "Requires-Dist: b>=1\n"}, "[b>=1] <nil>"},
		{"none", "a-1.zip", map[string]string{"PKG-INFO": new}, "[] <nil>"},
		{"dynamic", "a-1.zip", map[string]string{"PKG-INFO": new + "Dynamic: Requires-Dist\n"}, "[] metadata of a-1.zip: it does not say what it needs when installed"},
		{"Dynamic in the description", "a-1.zip", map[string]string{"PKG-INFO": new + "\nDynamic: Requires-Dist\n"}, "[] <nil>"},
		{"old", "a-1.tar.gz", map[string]string{"PKG-INFO": old}, "[] metadata of a-1.tar.gz: it does not say what it needs when installed"},
		{"egg-info without requirements", "a-1.tar.gz", map[string]string{"PKG-INFO": old, "src/a.egg-info/top_level.txt": "a\n"}, "[] <nil>"},
		{"egg-info", "a-1.tar.gz", map[string]string{"PKG-INFO": old, "a.egg-info/requires.txt": "b>=1\n\n[:python_version < \"3\"]\nc\n\n[x]\nd\n[y:os_name == 'posix']\ne\n"}, `[b>=1 c python_version < "3"] <nil>`},
		{"bad egg-info", "a-1.tar.gz", map[string]string{"PKG-INFO": old, "a.egg-info/requires.txt": "b c\n"}, "[] metadata of a-1.tar.gz: requires.txt: requirement \"b c\""},
		{"PKG-INFO of something else", "a-1.tar.gz", map[string]string{"PKG-INFO": new, "sub/PKG-INFO": "Requires-Dist: z\n"}, "[] <nil>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := pages{"https://f.example/a": string(pyindex.Pack(tc.file, tc.content))}
			m, err := ReadMetadata(t.Context(), g, origin.Endpoint{}, File{Name: tc.file, URL: "https://f.example/a"})
			var names []string
			for _, r := range m.Requires {
				names = append(names, strings.TrimSpace(r.String()+" "+r.Marker.String()))
			}
			if got := fmt.Sprintf("[%s] %v", strings.Join(names, " "), err); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	for _, broken := range []string{"", "no archive"} {
		g := pages{"https://f.example/a": broken}
		for _, file := range []string{"a-1.tar.gz", "a-1.zip"} {
			if _, err := ReadMetadata(t.Context(), g, origin.Endpoint{}, File{Name: file, URL: "https://f.example/a"}); err == nil {
				t.Errorf("%s of %q is taken", file, broken)
			}
		}
	}
}

func FuzzSdistMetadata(f *testing.F) {
	f.Add([]byte("Metadata-Version: 2.2\nDynamic: Requires-Dist\n"), []byte("b>=1\n[:os_name]\nc\n"))
	f.Fuzz(func(t *testing.T, info, requires []byte) {
		_ = static(info)
		list, err := eggRequires(requires)
		if err != nil {
			return
		}
		for _, r := range list {
			if r.Name == "" {
				t.Fatalf("%+v", r)
			}
		}
	})
}

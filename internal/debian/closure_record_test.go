//go:build oracle

package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRecordClosure asks the machine's apt to install every case of closureOracle on an empty machine, and writes down
// what it takes. Run it with
//
//	go test -tags oracle -run TestRecordClosure ./internal/debian
func TestRecordClosure(t *testing.T) {
	head, cases := readOracle(t)
	out := []string{head}
	for _, c := range cases {
		apt := aptInstalls(t, c)
		lines := slices.DeleteFunc(c.lines, func(l string) bool { return strings.HasPrefix(l, "apt ") })
		at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "ask ") }) + 1
		out = append(out, strings.Join(slices.Insert(lines, at, "apt "+apt), "\n"))
	}
	if err := os.WriteFile(closureOracle, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command("apt-get", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	if err := os.WriteFile("testdata/oracle/apt-version.txt", []byte(first+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func aptInstalls(t *testing.T, c *oracleCase) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"lists/partial", "cache/archives/partial", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"Packages": packagesText(c.have...), "status": "", "sources": "deb [trusted=yes] file:" + dir + " ./\n",
		"conf": `Dir "` + dir + `"; Dir::Etc::sourcelist "` + dir + `/sources"; Dir::Etc::sourceparts "-"; Dir::Etc::parts "-"; Dir::Etc::main "-";
Dir::Etc::preferencesparts "-"; Dir::State "` + dir + `"; Dir::State::lists "` + dir + `/lists"; Dir::State::status "` + dir + `/status"; Dir::Cache "` + dir + `/cache";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false"; APT::Sandbox::User "root"; Acquire::Languages "none";`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command("apt-get", args...)
		cmd.Env = append(os.Environ(), "APT_CONFIG="+dir+"/conf", "LC_ALL=C.UTF-8")
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	if text, err := run("update"); err != nil {
		t.Fatal(text)
	}
	text, err := run(append([]string{"--simulate", "install"}, c.ask...)...)
	if err != nil {
		return "refuses"
	}
	var names []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Inst" {
			names = append(names, f[1])
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

package node

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// frozenCase is a change to the project of frozen.txtar, and what each major of pnpm says of it then with
// --frozen-lockfile: the code of its error, or nothing.
type frozenCase struct {
	Name string            `json:"name"`
	File string            `json:"file"`
	Old  string            `json:"old,omitempty"`
	New  string            `json:"new"`
	Also map[string]string `json:"also,omitempty"`
	Want map[string]string `json:"want,omitempty"`
}

func frozenCases(t testing.TB) (*txtar.Archive, []frozenCase) {
	t.Helper()
	ar, err := txtar.ParseFile("testdata/pnpm/frozen.txtar")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/pnpm/frozen.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []frozenCase
	for s := bufio.NewScanner(f); s.Scan(); {
		var c frozenCase
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return ar, out
}

// changed is the project with the change of a case. An additional file of the form `s/a/b/` changes one that is there.
func (c frozenCase) changed(t testing.TB, ar *txtar.Archive) []txtar.File {
	t.Helper()
	files := map[string]string{}
	var order []string
	for _, f := range ar.Files {
		files[f.Name] = string(f.Data)
		order = append(order, f.Name)
	}
	put := func(name, text string) {
		if _, ok := files[name]; !ok {
			order = append(order, name)
		}
		files[name] = text
	}
	if c.Old != "" && !strings.Contains(files[c.File], c.Old) {
		t.Fatalf("%s: %s has no %q", c.Name, c.File, c.Old)
	}
	if c.Old == "" {
		put(c.File, c.New)
	} else {
		put(c.File, strings.Replace(files[c.File], c.Old, c.New, 1))
	}
	for name, text := range c.Also {
		if s := strings.Split(text, "/"); len(s) == 4 && s[0] == "s" {
			text = strings.Replace(files[name], s[1], s[2], 1)
		}
		put(name, text)
	}
	var out []txtar.File
	for _, name := range order {
		out = append(out, txtar.File{Name: name, Data: []byte(files[name])})
	}
	return out
}

// TestPnpmFrozen refuses what pnpm refuses, and nothing else, as TestRecordPnpmFrozen recorded it.
func TestPnpmFrozen(t *testing.T) {
	ar, cases := frozenCases(t)
	for _, c := range cases {
		if len(c.Want) == 0 {
			t.Errorf("%s: not recorded", c.Name)
		}
		for major, want := range c.Want {
			t.Run(c.Name+"/"+major, func(t *testing.T) {
				_, err := pnpmBuild(pnpmWorld(t, &txtar.Archive{Files: c.changed(t, ar)}, "", major), ModulesOptions{})
				if (err != nil) != (want != "") {
					t.Fatalf("pnpm says %q, here it is %v", want, err)
				}
				if err != nil && !strings.Contains(err.Error(), "the lock is not that of the project") {
					t.Errorf("another error: %v", err)
				}
				if err != nil && major == "10" {
					t.Log(err)
				}
			})
		}
	}
}

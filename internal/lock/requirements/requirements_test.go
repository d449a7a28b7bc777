package requirements

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/testkit/fuzzing"
)

const sum = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

const example = "\ufeff# made by hand\r\n--index-url https://index.example/simple\n-i=https://index.example/simple\n--require-hashes\n--no-binary=a,b\n--only-binary :all:\n\n" +
	"a==1.0 ; python_version >= '3.11' \\\n    --hash=" + sum + " \\\n    --hash " + sum + "\n    # via b\n" +
	"b @ https://files.example/b-1.tar.gz#subdirectory=x --hash=" + sum + " # why\n" +
	"-e ./member\n--editable=./other\n./vendor/c-1-py3-none-any.whl \\\n  # goes on\nd==2\t# a tab before it\nvendor/e-1-py3-none-any.whl ; os_name == 'posix'\nf@https://files.example/f-1.tar.gz\nhttps://files.example/g-1.tar.gz\nh-1.0.tar.gz"

func TestRead(t *testing.T) {
	f, err := Read("requirements.txt", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{fmt.Sprint(f.NoBinary, f.OnlyBinary)}
	for _, r := range f.Requirements {
		got = append(got, fmt.Sprintf("%d: %q editable=%v path=%v hashes=%d", r.Pos.Line, r.Text, r.Editable, r.Path(), len(r.Hashes)))
	}
	want := `[a b] [:all:]
8: "a==1.0 ; python_version >= '3.11'" editable=false path=false hashes=2
12: "b @ https://files.example/b-1.tar.gz#subdirectory=x" editable=false path=false hashes=1
13: "./member" editable=true path=true hashes=0
14: "./other" editable=true path=true hashes=0
15: "./vendor/c-1-py3-none-any.whl" editable=false path=true hashes=0
17: "d==2" editable=false path=false hashes=0
18: "vendor/e-1-py3-none-any.whl ; os_name == 'posix'" editable=false path=true hashes=0
19: "f@https://files.example/f-1.tar.gz" editable=false path=false hashes=0
20: "https://files.example/g-1.tar.gz" editable=false path=false hashes=0
21: "h-1.0.tar.gz" editable=false path=true hashes=0`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"other file", "a==1\n-rhttps://files.example/o.txt\n", "requirements.txt:2: `-r` must name a file of the source, not \"https://files.example/o.txt\""},
		{"constraints", "--constraint\n", "requirements.txt:1: `--constraint` must name a file"},
		{"weak hash", "a==1 --hash=md5:00\n", "requirements.txt:1: \"md5:00\" is not a hash that is accepted"},
		{"short hash", "\n\na==1 \\\n --hash=sha256:00\n", "requirements.txt:3: \"sha256:00\" is not a hash"},
		{"unknown hash", "a==1 --hash=" + sum + " --hash=foo:12\n", "requirements.txt:1: \"foo:12\" is not a hash"},
		{"merge", "a\n<<<<<<< HEAD\nb\n=======\n", "requirements.txt:2: a merge left a conflict here"},
		{"not UTF-8", "a\nb # \xe9\n", "requirements.txt:2: the line is not UTF-8"},
		{"blanks", "a==1 \\ \n --hash=" + sum + "\n", "requirements.txt:1: blanks stand after"},
		{"environment", "# ${A}\na @ https://${TOKEN}@files.example/a-1.zip\n", "requirements.txt:2: `${TOKEN}` is a variable of the environment"},
		{"pre", "--pre\na\n", "requirements.txt:1: the option `--pre` is not supported"},
		{"only a hash", "--hash=" + sum, "requirements.txt:1: a hash without a requirement"},
		{"option of a requirement", "a==1 --config-settings=x\n", "the option `--config-settings=x` of a requirement is not supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read("requirements.txt", []byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) || diag.ExitCode(err) != 2 {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// TestLocal: `file:` and names before a path.
func TestLocal(t *testing.T) {
	for text, want := range map[string]string{
		"file:a-1.zip":            "./a-1.zip",
		"file:./b ; os_name=='x'": "./b ; os_name=='x'",
		"C @ file:c":              "./c C",
		"d @ ./d":                 "./d d",
		"-e file:e":               "./e",
		"file:///abs/f":           "/abs/f",
		"g @ file://localhost/g":  "/g g",
		"h @ https://x.example/h": "h @ https://x.example/h",
		"git+https://x.example/i": "git+https://x.example/i",
		"git+ssh://git@x.example": "git+ssh://git@x.example",
		"./at@home":               "./at@home",
	} {
		f, err := Read("requirements.txt", []byte(text))
		if err != nil || len(f.Requirements) != 1 {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if r := f.Requirements[0]; strings.TrimSpace(r.Text+" "+r.Name) != want {
			t.Errorf("%s: got %q and %q, want %s", text, r.Text, r.Name, want)
		}
	}
}

func TestIncludes(t *testing.T) {
	f, err := Read("requirements.txt", []byte("-r base.txt\n-cc.txt\n--requirement=in/more.txt\n--constraint d.txt\na\n"))
	if err != nil || f.Hashed() {
		t.Fatal(f, err)
	}
	var got []string
	for _, inc := range f.Includes {
		got = append(got, fmt.Sprint(inc.Pos.Line, inc.Path, inc.Constraint))
	}
	if text := strings.Join(got, "; "); text != "1base.txtfalse; 2c.txttrue; 3in/more.txtfalse; 4d.txttrue" {
		t.Error(text)
	}
	for _, text := range []string{"--require-hashes\na==1\n", "a==1 --hash=" + sum} {
		if f, err := Read("requirements.txt", []byte(text)); err != nil || !f.Hashed() {
			t.Errorf("%q: %v %v", text, f, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("-e\n"))
	f.Add([]byte("a \\\n\\\n#\n--hash"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *File
		var err error
		fuzzing.Bounded(t, len(data), func() { file, err = Read("requirements.txt", data) })
		if err != nil {
			var p *diag.Problem
			if !errors.As(err, &p) {
				t.Fatalf("no Problem: %v", err)
			}
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, r := range file.Requirements {
			if r.Text == "" || r.Pos.Line < 1 || r.Pos.Line > lines {
				t.Fatalf("%+v", r)
			}
		}
	})
}

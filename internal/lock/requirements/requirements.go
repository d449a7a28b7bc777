// Package requirements reads requirements.txt, with hashes in the form that `--require-hashes` wants, or without any. It is pure: bytes in, values out, every refusal with file and line. What a requirement's text means, names,
// versions and markers, is for package python.
package requirements

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/source"
)

// MaxSize is the largest file that Read takes.
const MaxSize = 64 << 20

// File is a whole requirements.txt.
type File struct {
	Name         string // for positions
	Requirements []Requirement
	NoBinary     []string // of `--no-binary`: names, or `:all:`
	OnlyBinary   []string // of `--only-binary`
	Includes     []Include
	// RequireHashes says that the file has the option of that name.
	RequireHashes bool
}

// Include is another file that `-r` or `-c` names.
type Include struct {
	Path       string // relative to the file
	Constraint bool   // of `-c`: binds versions of what is installed anyway
	Pos        diag.Position
}

// Hashed says that every requirement must have hashes: one has, or the file says so.
func (f *File) Hashed() bool {
	return f.RequireHashes || slices.ContainsFunc(f.Requirements, func(r Requirement) bool { return len(r.Hashes) > 0 })
}

// Requirement is one logical line.
type Requirement struct {
	Text     string // without hashes and comments: `name==1.0 ; marker`, `name @ url`, `./path`
	Name     string // of a path that has one: `name @ ./path`; as it is written
	Editable bool   // of `-e`
	Hashes   []source.Integrity
	Pos      diag.Position
}

// Path says that the text is a file or directory beside the file, not a name: it starts as one, has a slash where no name
// has one, or ends as an archive.
func (r *Requirement) Path() bool {
	if r.Editable || strings.HasPrefix(r.Text, ".") || strings.HasPrefix(r.Text, "/") {
		return true
	}
	first := r.Text
	if i := strings.IndexAny(first, " \t;@<>=!~:"); i >= 0 {
		first = first[:i]
	}
	return strings.Contains(first, "/") || slices.ContainsFunc(archives, func(ext string) bool { return strings.HasSuffix(first, ext) })
}

var archives = []string{".whl", ".tar.gz", ".zip"}

// ignored are options that say where to look; origins come from the user's configuration.
var ignored = []string{"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--trusted-host", "--use-feature"}

// Read reads a file. name names it in errors.
func Read(name string, data []byte) (*File, error) {
	if len(data) > MaxSize {
		return nil, diag.Inputf("too-large", "the file has more than %d MB", MaxSize>>20).At(diag.Position{File: name})
	}
	f := &File{Name: name}
	number := 0
	var logical strings.Builder
	start := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if err := checkLine(line, diag.Position{File: name, Line: number}); err != nil {
			return nil, err
		}
		if logical.Len() == 0 {
			start = number
		}
		body, more := strings.CutSuffix(line, "\\")
		if strings.HasPrefix(strings.TrimSpace(line), "#") { // a comment ends what goes on before it
			body, more = "", false
		}
		logical.WriteString(body)
		if more {
			logical.WriteByte(' ')
			continue
		}
		if err := f.line(logical.String(), diag.Position{File: name, Line: start}); err != nil {
			return nil, err
		}
		logical.Reset()
	}
	if err := f.line(logical.String(), diag.Position{File: name, Line: start}); err != nil {
		return nil, err
	}
	return f, nil
}

// marks are what a merge leaves at the start of lines.
var marks = []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"}

var variable = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)

// checkLine refuses what has no meaning in any line.
func checkLine(line string, pos diag.Position) error {
	text, _, _ := strings.Cut(line, "#")
	switch {
	case !utf8.ValidString(line):
		return diag.Inputf("bad-file", "the line is not UTF-8").At(pos)
	case slices.ContainsFunc(marks, func(m string) bool { return strings.HasPrefix(line, m) }):
		return diag.Inputf("bad-file", "a merge left a conflict here").At(pos).Hint("take one side of the file, then lock again with its tool")
	case !strings.HasSuffix(line, "\\") && strings.HasSuffix(strings.TrimRight(text, " \t"), "\\"):
		return diag.Inputf("bad-file", "blanks stand after the `\\` that continues the line").At(pos).Hint("delete them")
	case variable.MatchString(text):
		return diag.Inputf("bad-file", "`%s` is a variable of the environment, which a build does not see", variable.FindString(text)).At(pos).
			Hint("write out what it stands for; passwords belong into the configuration of the index")
	}
	return nil
}

// comment is where one begins; the `#` of a URL has no blank before it.
var comment = regexp.MustCompile(`\s#`)

func (f *File) line(text string, pos diag.Position) error {
	if i := comment.FindStringIndex(text); i != nil {
		text = text[:i[0]]
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil
	}
	if option, value, ok := splitOption(words); ok && option != "-e" && option != "--editable" {
		return f.option(option, value, pos)
	}
	r := Requirement{Pos: pos}
	if option, _, ok := splitOption(words); ok {
		r.Editable = true
		if rest, joined := strings.CutPrefix(words[0], option+"="); joined {
			words[0] = rest
		} else {
			words = words[1:]
		}
	}
	var body, other []string
	for i := 0; i < len(words); i++ {
		value, ok := strings.CutPrefix(words[i], "--hash=")
		if words[i] == "--hash" && i+1 < len(words) {
			i++
			value, ok = words[i], true
		}
		if !ok {
			body = append(body, words[i])
			continue
		}
		sum, err := source.ParseIntegrity(value)
		if err != nil || sum.Algorithm() != source.SHA256 && sum.Algorithm() != source.SHA512 {
			other = append(other, value)
			continue
		}
		r.Hashes = append(r.Hashes, sum)
	}
	for _, h := range other { // of another algorithm, beside one that is enough
		alg, _, _ := strings.Cut(h, ":")
		if len(r.Hashes) == 0 || !slices.Contains([]string{"md5", "sha1", "sha224", "sha384"}, alg) {
			return diag.Inputf("bad-file", "%q is not a hash that is accepted, want `sha256:` and 64 hex digits", h).At(pos)
		}
	}
	for _, w := range body {
		if strings.HasPrefix(w, "--") {
			return diag.Inputf("bad-file", "the option `%s` of a requirement is not supported", w).At(pos)
		}
	}
	if r.Text = strings.Join(body, " "); r.Text == "" {
		return diag.Inputf("bad-file", "a hash without a requirement").At(pos)
	}
	r.local()
	f.Requirements = append(f.Requirements, r)
	return nil
}

// local gives `file:path` and `name @ path` the form of a path.
func (r *Requirement) local() {
	name, rest, named := strings.Cut(r.Text, "@")
	if rest = strings.TrimSpace(rest); !named || strings.ContainsAny(strings.TrimSpace(name), "/:; ") {
		name, rest = "", r.Text
	}
	at, isFile := strings.CutPrefix(rest, "file:")
	switch {
	case isFile && strings.HasPrefix(at, "//"): // nothing of the source is absolute, which who reads the path will say
		r.Text = "/" + strings.TrimLeft(strings.TrimPrefix(at, "//localhost"), "/")
	case isFile && !strings.HasPrefix(at, "/"):
		r.Text = "./" + strings.TrimPrefix(at, "./")
	case isFile:
		r.Text = at
	case name != "" && (strings.HasPrefix(rest, "./") || strings.HasPrefix(rest, "../") || strings.HasPrefix(rest, "/")):
		r.Text = rest
	default:
		return
	}
	r.Name = strings.TrimSpace(name)
}

// splitOption takes `--name=value` and `--name value` apart.
func splitOption(words []string) (option, value string, ok bool) {
	if !strings.HasPrefix(words[0], "-") || strings.HasPrefix(words[0], "--hash") {
		return "", "", false
	}
	option, value, joined := strings.Cut(words[0], "=")
	if !joined && len(words) > 1 {
		value = words[1]
	}
	return option, value, true
}

func (f *File) option(option, value string, pos diag.Position) error {
	if len(option) > 2 && (option[:2] == "-r" || option[:2] == "-c") { // `-rfile`
		option, value = option[:2], option[2:]
	}
	switch {
	case slices.Contains(ignored, option):
		return nil
	case option == "--require-hashes":
		f.RequireHashes = true
		return nil
	case slices.Contains([]string{"-r", "--requirement", "-c", "--constraint"}, option):
		if value == "" || strings.Contains(value, "://") {
			return diag.Inputf("bad-file", "`%s` must name a file of the source, not %q", option, value).At(pos)
		}
		f.Includes = append(f.Includes, Include{Path: value, Constraint: option == "-c" || option == "--constraint", Pos: pos})
		return nil
	case option == "--no-binary":
		f.NoBinary = append(f.NoBinary, strings.Split(value, ",")...)
		return nil
	case option == "--only-binary":
		f.OnlyBinary = append(f.OnlyBinary, strings.Split(value, ",")...)
		return nil
	}
	return diag.Inputf("bad-file", "the option `%s` is not supported", option).At(pos).
		Hint("take it out; or have a tool do what it says and write down what comes of it, for example `uv pip compile --generate-hashes`")
}

// Package requirements reads requirements.txt, with hashes in the form that `--require-hashes` wants, or without any. It is pure: bytes in, values out, every refusal with file and line. What a requirement's text means, names,
// versions and markers, is for package python.
package requirements

import (
	"regexp"
	"slices"
	"strings"

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
var ignored = []string{"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host"}

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
	var body []string
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
			return diag.Inputf("bad-file", "%q is not a hash that is accepted, want `sha256:` and 64 hex digits", value).At(pos)
		}
		r.Hashes = append(r.Hashes, sum)
	}
	for _, w := range body {
		if strings.HasPrefix(w, "--") {
			return diag.Inputf("bad-file", "the option `%s` of a requirement is not supported", w).At(pos)
		}
	}
	if r.Text = strings.Join(body, " "); r.Text == "" {
		return diag.Inputf("bad-file", "a hash without a requirement").At(pos)
	}
	f.Requirements = append(f.Requirements, r)
	return nil
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
		Hint("write one file with everything in it, for example with `uv pip compile --generate-hashes`")
}

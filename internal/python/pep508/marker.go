package pep508

import (
	"fmt"
	"slices"
	"strings"

	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/python/pep440"
)

// Environment is what markers are evaluated against. Values holds the variables of PEP 508 but `extra`.
type Environment struct {
	Values map[string]string
	Extras []string // the extras that are on, normalised; for `extra == "x"` and `"x" in extras`
	Groups []string // the dependency groups that are on; for `"x" in dependency_groups`
}

// CPython is the environment of CPython of a full version ("3.14.8") on a platform.
func CPython(full string, p platform.Platform) (Environment, error) {
	v, err := pep440.Parse(full)
	if err != nil {
		return Environment{}, err
	}
	machine, err := Machine(p)
	if err != nil {
		return Environment{}, err
	}
	return Environment{Values: map[string]string{
		"implementation_name":            "cpython",
		"implementation_version":         full,
		"os_name":                        "posix",
		"platform_machine":               machine,
		"platform_python_implementation": "CPython",
		"platform_release":               "", // a fact of the kernel that runs, not of what is built for
		"platform_system":                "Linux",
		"platform_version":               "",
		"python_full_version":            full,
		"python_version":                 fmt.Sprintf("%d.%d", v.Release(0), v.Release(1)),
		"sys_platform":                   "linux",
	}}, nil
}

// Machine is the processor in Python's words.
func Machine(p platform.Platform) (string, error) {
	if p.OS == "linux" {
		switch p.Arch {
		case "amd64":
			return "x86_64", nil
		case "arm64":
			return "aarch64", nil
		}
	}
	return "", fmt.Errorf("python: platform %s is not supported, only linux/amd64 and linux/arm64 are", p)
}

// With gives the environment with these extras on (in place of those that were).
func (e Environment) With(extras ...string) Environment {
	e.Extras = extras
	return e
}

// Marker is a condition. The zero value holds everywhere.
type Marker struct {
	root *expr
	text string
}

// expr is `and`, `or` or a comparison.
type expr struct {
	op          string
	left, right *expr   // of and, or
	a, b        operand // of a comparison
}

type operand struct {
	variable bool
	text     string
}

// String is the text that was parsed.
func (m Marker) String() string { return m.text }

// Always says that there is no condition.
func (m Marker) Always() bool { return m.root == nil }

// Holds evaluates the marker.
func (m Marker) Holds(e Environment) bool { return m.root == nil || m.root.holds(e) }

func (x *expr) holds(e Environment) bool {
	switch x.op {
	case "and":
		return x.left.holds(e) && x.right.holds(e)
	case "or":
		return x.left.holds(e) || x.right.holds(e)
	}
	return x.compare(e)
}

// versionVariables are compared as versions; all others as text.
var versionVariables = []string{"python_version", "python_full_version", "implementation_version"}

func (x *expr) compare(e Environment) bool {
	for _, side := range [2][2]operand{{x.a, x.b}, {x.b, x.a}} {
		if !side[0].variable {
			continue
		}
		switch side[0].text {
		case "extra":
			return slices.Contains(e.Extras, Normalise(side[1].text)) == (x.op == "==")
		case "extras":
			return slices.Contains(e.Extras, Normalise(side[1].text)) == (x.op == "in")
		case "dependency_groups":
			return slices.Contains(e.Groups, Normalise(side[1].text)) == (x.op == "in")
		}
	}
	a, b := x.a.value(e), x.b.value(e)
	switch {
	case x.a.variable && slices.Contains(versionVariables, x.a.text):
		if ok, done := compareVersions(a, x.op, b); done {
			return ok
		}
	case x.b.variable && slices.Contains(versionVariables, x.b.text):
		if ok, done := compareVersions(b, flip(x.op), a); done {
			return ok
		}
	}
	return compareText(a, x.op, b)
}

func (o operand) value(e Environment) string {
	if o.variable {
		return e.Values[o.text]
	}
	return o.text
}

// compareVersions is not done where the right side is no version, or the operator is none between versions.
func compareVersions(a, op, b string) (ok, done bool) {
	v, err := pep440.Parse(a)
	if err != nil {
		return false, false
	}
	if op == "in" || op == "not in" {
		// A list of versions, `python_version in "3.8, 3.9"`; as plain text "3.1" would be in "3.10".
		for _, item := range strings.FieldsFunc(b, func(r rune) bool { return strings.ContainsRune(" ,|", r) }) {
			w, err := pep440.Parse(item)
			if err != nil {
				return false, false
			}
			if pep440.Compare(v, w) == 0 {
				return op == "in", true
			}
		}
		return op == "not in", true
	}
	s, err := pep440.ParseSpecifiers(op + b)
	if err != nil {
		return false, false
	}
	return s.Match(v), true
}

func flip(op string) string {
	switch op {
	case "<", "<=":
		return ">" + op[1:]
	case ">", ">=":
		return "<" + op[1:]
	}
	return op
}

func compareText(a, op, b string) bool {
	switch op {
	case "==", "===":
		return a == b
	case "!=":
		return a != b
	case "in":
		return strings.Contains(b, a)
	case "not in":
		return !strings.Contains(b, a)
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false // `~=` between texts means nothing
}

// variables of PEP 508, with the old spellings that still occur.
var variables = map[string]string{
	"python_version": "", "python_full_version": "", "os_name": "", "sys_platform": "", "platform_release": "",
	"platform_system": "", "platform_version": "", "platform_machine": "", "platform_python_implementation": "",
	"implementation_name": "", "implementation_version": "", "extra": "", "extras": "", "dependency_groups": "",
	"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version",
	"platform.machine": "platform_machine", "platform.python_implementation": "platform_python_implementation",
	"python_implementation": "platform_python_implementation",
}

// ParseMarker reads a condition; an empty text holds everywhere.
func ParseMarker(s string) (Marker, error) {
	m := Marker{text: strings.TrimSpace(s)}
	if m.text == "" {
		return m, nil
	}
	p := parser{s: s}
	root, err := p.or(0)
	if err == nil && p.skip() < len(s) {
		err = p.fail("unexpected text after the marker")
	}
	if err != nil {
		return Marker{}, err
	}
	m.root = root
	return m, nil
}

// maxDepth bounds nested parentheses.
const maxDepth = 200

func (p *parser) or(depth int) (*expr, error) { return p.chain("or", depth, p.and) }

func (p *parser) and(depth int) (*expr, error) { return p.chain("and", depth, p.atom) }

func (p *parser) chain(op string, depth int, next func(int) (*expr, error)) (*expr, error) {
	left, err := next(depth)
	for err == nil && p.word(op) {
		var right *expr
		right, err = next(depth)
		left = &expr{op: op, left: left, right: right}
	}
	return left, err
}

func (p *parser) atom(depth int) (*expr, error) {
	if depth > maxDepth {
		return nil, p.fail("parentheses are nested too deep")
	}
	if p.char('(') {
		x, err := p.or(depth + 1)
		if err == nil && !p.char(')') {
			err = p.fail("`)` is missing")
		}
		return x, err
	}
	a, err := p.operand()
	if err != nil {
		return nil, err
	}
	op, err := p.operator()
	if err != nil {
		return nil, err
	}
	b, err := p.operand()
	if err != nil {
		return nil, err
	}
	if !a.variable && !b.variable {
		return nil, p.fail("a comparison of two texts")
	}
	return &expr{op: op, a: a, b: b}, nil
}

func (p *parser) operator() (string, error) {
	p.skip()
	for _, op := range [...]string{"===", "==", "!=", "~=", "<=", ">=", "<", ">"} {
		if strings.HasPrefix(p.s[p.i:], op) {
			p.i += len(op)
			return op, nil
		}
	}
	if p.word("in") {
		return "in", nil
	}
	if p.word("not") && p.word("in") {
		return "not in", nil
	}
	return "", p.fail("an operator is missing")
}

func (p *parser) operand() (operand, error) {
	p.skip()
	if p.i < len(p.s) && (p.s[p.i] == '"' || p.s[p.i] == '\'') {
		quote := p.s[p.i]
		end := strings.IndexByte(p.s[p.i+1:], quote)
		if end < 0 {
			return operand{}, p.fail("a quote is not closed")
		}
		o := operand{text: p.s[p.i+1 : p.i+1+end]}
		p.i += end + 2
		return o, nil
	}
	start := p.i
	for p.i < len(p.s) && (isAlnum(p.s[p.i]) || p.s[p.i] == '_' || p.s[p.i] == '.') {
		p.i++
	}
	name := p.s[start:p.i]
	to, ok := variables[name]
	if !ok {
		p.i = start
		return operand{}, p.fail("want a variable of PEP 508 or a quoted text")
	}
	if to == "" {
		to = name
	}
	return operand{variable: true, text: to}, nil
}

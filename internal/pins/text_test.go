package pins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hewn.example/hewn/internal/diag"
	"hewn.example/hewn/internal/platform"
	"hewn.example/hewn/internal/source"
)

func hook(name string, request ...string) Question {
	return Question{Ecosystem: source.PyPI, Set: "build/" + name + "/hook", Platform: amd64, Request: request}
}

// observed is the lock after an update in which each question was observed to have these lines.
func observed(t *testing.T, old *Lock, lines map[string][]string) *Lock {
	t.Helper()
	u := NewUpdater(old, nil, All, nil)
	for name, l := range lines {
		if _, err := u.Lines(t.Context(), hook(name), func(context.Context) ([]string, error) { return l, nil }); err != nil {
			t.Fatal(err)
		}
	}
	return u.Result(true, amd64)
}

func TestTextRoundTrip(t *testing.T) {
	lines := map[string][]string{
		"none":     nil,
		"one":      {"cffi>=1.12"},
		"awkward":  {"", " led by a space", "ends with one ", "# no comment", "| a bar", "\ttab", `"quoted"`, "set pypi x any", "größe", ""},
		"is empty": {""},
	}
	for name := range lines {
		if strings.Contains(name, " ") {
			lines[strings.ReplaceAll(name, " ", "-")] = lines[name]
			delete(lines, name)
		}
	}
	text := observed(t, NewLock("l"), lines).Format()
	back, err := ParseLock("l", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, want := range lines {
		got, err := back.Lines(t.Context(), hook(name), nil)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if again := back.Format(); string(again) != string(text) {
		t.Errorf("format, parse, format gives\n%s\nwant\n%s", again, text)
	}
	want := "set pypi build/one/hook linux/amd64\n| cffi>=1.12\n"
	if !strings.Contains(string(text), want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// An answer that is empty is an answer; what is not there is missing, and what was asked otherwise is stale.
func TestTextMissingAndStale(t *testing.T) {
	l := observed(t, NewLock("l"), map[string][]string{"x": nil})
	for _, c := range []struct {
		name string
		q    Question
		code string
	}{
		{"empty", hook("x"), ""},
		{"another set", hook("y"), "pin-missing"},
		{"another request", hook("x", "python 3.14"), "pin-stale"},
	} {
		_, err := l.Lines(t.Context(), c.q, nil)
		var p *diag.Problem
		if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &p) || p.Code != c.code || !strings.Contains(fmt.Sprint(p.Hints), "hewn update --missing")) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.code)
		}
	}
}

func TestTextUpdateModes(t *testing.T) {
	old := observed(t, NewLock("l"), map[string][]string{"x": {"a"}, "empty": nil})
	asked := 0
	tell := func(context.Context) ([]string, error) { asked++; return []string{"b"}, nil }
	for _, c := range []struct {
		name  string
		mode  Mode
		q     Question
		want  string
		asked int
	}{
		{"missing keeps", Missing, hook("x"), "[a]", 0},
		{"missing keeps an empty one", Missing, hook("empty"), "[]", 0},
		{"missing observes what is stale", Missing, hook("x", "python 3.15"), "[b]", 1},
		{"all observes once", All, hook("x"), "[b]", 1},
	} {
		asked = 0
		u := NewUpdater(old, nil, c.mode, nil)
		got, err := u.Lines(t.Context(), c.q, tell)
		if _, again := u.Lines(t.Context(), c.q, tell); again != nil {
			t.Error(again)
		}
		if err != nil || fmt.Sprint(got) != c.want || asked != c.asked {
			t.Errorf("%s: got %v, %v after %d runs", c.name, got, err, asked)
		}
	}
}

func TestTextDiff(t *testing.T) {
	long := strings.Split(strings.Repeat("x ", 20), " ")
	old := observed(t, NewLock("l"), map[string][]string{"moved": {"a", "b"}, "gone": {"c"}, "same": {"d"}, "long": long, "emptied": {"e"}})
	now := observed(t, NewLock("l"), map[string][]string{"moved": {"a"}, "new": {"f"}, "same": {"d"}, "long": long[1:], "emptied": nil, "none": nil})
	var got []string
	for _, c := range now.Diff(old) {
		got = append(got, c.String())
	}
	want := `pypi build/emptied/hook: - text e
pypi build/gone/hook: - text c
pypi build/long/hook: text 21 lines (2fe86ac51db8) -> 20 lines (3faf49dec05e)
pypi build/moved/hook: text a, b -> a
pypi build/new/hook: + text f`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestTextRefused(t *testing.T) {
	for name, line := range map[string]string{"a line end": "a\nb", "carriage return": "a\r", "no text": "\xff", "too long": strings.Repeat("x", maxLine+1)} {
		u := NewUpdater(NewLock("l"), nil, All, nil)
		if _, err := u.Lines(t.Context(), hook("x"), func(context.Context) ([]string, error) { return []string{line}, nil }); err == nil {
			t.Errorf("%s was pinned", name)
		}
	}
	head := "hewn-lock 1\nset pypi x any\n"
	pin := "pin pypi any x 1 x.whl " + sha(1).String() + " in=x\n"
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"below no set": {"hewn-lock 1\n| a\n", 2, "below the `set`"},
		"below a pin":  {head + pin + "| a\n", 4, "below the `set`"},
		"no space":     {head + "|a\n", 3, "want a space"},
		"no text":      {head + "| \x01\n", 3, "no text"},
	} {
		_, err := ParseLock("l", []byte(c.text))
		var p *diag.Problem
		if !errors.As(err, &p) || p.Pos.Line != c.line || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What a machine cannot run it takes from the answer for another platform, if that was to the same question.
func TestTextForeign(t *testing.T) {
	foreign := platform.Platform{OS: "linux", Arch: "riscv64", Libc: "glibc"} // no machine that this is tested on
	there := func(request ...string) Question {
		q := hook("x", request...)
		q.Platform = foreign
		return q
	}
	here := hook("x")
	here.Platform = platform.Host()
	first := NewUpdater(NewLock("l"), nil, All, nil)
	if _, err := first.Lines(t.Context(), here, func(context.Context) ([]string, error) { return []string{"a"}, nil }); err != nil {
		t.Fatal(err)
	}
	old := first.Result(true, here.Platform)
	ran := 0
	fails := func(context.Context) ([]string, error) { ran++; return nil, errors.New("exec format error") }
	for _, mode := range []Mode{All, Missing} {
		u := NewUpdater(old, nil, mode, nil)
		got, err := u.Lines(t.Context(), there(), fails)
		if err != nil || fmt.Sprint(got) != "[a]" || ran != 0 {
			t.Errorf("got %v, %v after %d runs", got, err, ran)
		}
		if got, err := u.Result(true, foreign).Lines(t.Context(), there(), nil); err != nil || fmt.Sprint(got) != "[a]" {
			t.Errorf("pinned %v, %v", got, err)
		}
	}
	_, err := NewUpdater(old, nil, All, nil).Lines(t.Context(), there("python 3.15"), fails)
	var p *diag.Problem
	if !errors.As(err, &p) || p.Code != "foreign-code" || p.Kind != diag.Environment || ran != 1 {
		t.Errorf("another question: %v after %d runs", err, ran)
	}
}

package pins

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of text that is pinned.
const maxLine = 64 << 10

// textMark begins a line of the file that holds a line of text: it belongs to the set above it.
const textMark = "|"

// checkLines refuses what would not come back from the file as it went in.
func checkLines(lines []string) error {
	for i, l := range lines {
		if len(l) > maxLine || !utf8.ValidString(l) || strings.ContainsFunc(l, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
			return fmt.Errorf("line %d is longer than %d bytes, or no text: %.60q", i+1, maxLine, l)
		}
	}
	return nil
}

// Lines answers from the lock; it observes nothing. What is wrong with a question is said as Artifacts says it.
func (l *Lock) Lines(_ context.Context, q Question, _ func(context.Context) ([]string, error)) ([]string, error) {
	a, err := l.answer(q)
	return slices.Clone(a.lines), err
}

// textLine reads a line of text, without textMark.
func (p *lockParser) textLine(rest string) error {
	a, ok := p.lock.sets[p.set]
	if !ok {
		return fmt.Errorf("a line of text belongs below the `set` that it answers")
	}
	text := ""
	if rest != "" {
		if text, ok = strings.CutPrefix(rest, " "); !ok {
			return fmt.Errorf("want a space after `%s`", textMark)
		}
	}
	if err := checkLines([]string{text}); err != nil {
		return err
	}
	a.lines = append(a.lines, text)
	p.lock.sets[p.set] = a
	return nil
}

// formatLine is the line of the file for a line of text.
func formatLine(text string) string {
	if text == "" {
		return textMark + "\n"
	}
	return textMark + " " + text + "\n"
}

// shortText is how many lines of text are told in full.
const shortText = 8

// tellText is lines of text as they are told in a Change; empty for none.
func tellText(lines []string) string {
	if len(lines) > shortText {
		return fmt.Sprintf("%d lines (%.6x)", len(lines), sha256.Sum256([]byte(strings.Join(lines, "\n"))))
	}
	return strings.Join(lines, ", ")
}

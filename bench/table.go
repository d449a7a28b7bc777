package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// row is one line of the table, all texts.
type row struct{ what, goal, got, ratio, bound string }

type table struct{ rows []row }

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// print writes the table as Markdown with aligned columns.
func (t *table) print(w io.Writer) {
	cells := [][]string{{"what", "goal", "measured", "ratio", "bounded by"}}
	for _, r := range t.rows {
		cells = append(cells, []string{r.what, r.goal, r.got, r.ratio, r.bound})
	}
	wide := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	for n, line := range cells {
		for i, c := range line {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", wide[i]-utf8.RuneCountInString(c)))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for i := range wide {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", wide[i]+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}

// machine says on what this was measured, and how busy that was.
func machine() string {
	var u unix.Utsname
	kernel := "?"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	load, _ := os.ReadFile("/proc/loadavg")
	words := append(strings.Fields(string(load)), "?", "?")
	return fmt.Sprintf("%d processors, Linux %s, %s; load %s (1 min), %s (5 min) at the end", runtime.NumCPU(), kernel, runtime.Version(), words[0], words[1])
}

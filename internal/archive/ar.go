package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic      = "!<arch>\n"
	arHeader     = 60
	maxArName    = 4096
	maxArTable   = 1 << 20 // GNU's table of long names
	maxArMembers = 100_000
)

// ReadAr calls f for each member of an ar archive, in order. What f leaves unread is skipped. Long names of the GNU
// and BSD kinds are understood; GNU's symbol and name tables are not members.
func ReadAr(r io.Reader, f func(name string, size int64, r io.Reader) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(br, magic); err != nil || string(magic) != arMagic {
		return broken("ar", fmt.Errorf("no ar archive: it does not start with %q", arMagic))
	}
	var long string
	for n := 0; ; n++ {
		if n > maxArMembers {
			return broken("ar", tooLarge("the number of members", maxArMembers))
		}
		name, size, err := readArHeader(br)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken("ar", err)
		}
		body := &exactReader{r: br, left: size}
		pad := size & 1
		switch {
		case name == "/" || name == "/SYM64/":
		case name == "//":
			if size > maxArTable {
				return broken("ar", tooLarge("the table of names", maxArTable))
			}
			b, err := io.ReadAll(body)
			if err != nil {
				return broken("ar", err)
			}
			long = string(b)
		default:
			if name, err = arName(name, long, body); err != nil {
				return broken("ar", err)
			}
			if err := f(name, body.left, body); err != nil {
				return err
			}
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return broken("ar", err)
		}
		if _, err := br.Discard(int(pad)); err != nil && !errors.Is(err, io.EOF) {
			return broken("ar", err)
		}
	}
}

// readArHeader gives io.EOF only between two members.
func readArHeader(r io.Reader) (name string, size int64, err error) {
	var h [arHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return "", 0, err
	}
	if h[58] != '`' || h[59] != '\n' {
		return "", 0, errors.New("a member's header has no end mark")
	}
	name = strings.TrimRight(string(h[:16]), " ")
	field := strings.TrimRight(string(h[48:58]), " ")
	size, err = strconv.ParseInt(field, 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("member %q has the size %q", name, field)
	}
	return name, size, nil
}

// arName gives the whole name of a member: "#1/LEN" has it in front of the content, "/OFFSET" in the table.
func arName(name, table string, body *exactReader) (string, error) {
	if s, ok := strings.CutPrefix(name, "#1/"); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > maxArName || n > body.left {
			return "", fmt.Errorf("member %q has no such name", name)
		}
		b := make([]byte, n)
		_, err = io.ReadFull(body, b)
		return strings.TrimRight(string(b), "\x00"), err
	}
	if s, ok := strings.CutPrefix(name, "/"); ok {
		off, err := strconv.ParseUint(s, 10, 32)
		if err != nil || off >= uint64(len(table)) {
			return "", fmt.Errorf("member %q has no such name", name)
		}
		name, _, _ = strings.Cut(table[off:], "\n")
		return strings.TrimSuffix(name, "/"), nil
	}
	return strings.TrimSuffix(name, "/"), nil
}

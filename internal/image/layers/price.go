package layers

import "fmt"

// LayerSize is a layer as a registry has it: the digest of its compressed bytes, and how many those are.
type LayerSize struct {
	Digest string `json:"digest"` // "sha256:…"
	Size   int64  `json:"size"`
}

// Price is what somebody who has the old layers pulls in order to have the new ones: bytes, out of the bytes of all new
// layers, and the number of layers. A layer that stands twice is pulled once.
func Price(old, new []LayerSize) (pull, total int64, changed int) {
	have := map[string]bool{}
	for _, l := range old {
		have[l.Digest] = true
	}
	counted := map[string]bool{}
	for _, l := range new {
		if counted[l.Digest] {
			continue
		}
		counted[l.Digest] = true
		total += l.Size
		if !have[l.Digest] {
			pull += l.Size
			changed++
		}
	}
	return pull, total, changed
}

// Sentence says the price of an update: "2026.2.0 -> 2026.2.1 pulls 38 MB of 410 MB (2 of 9 layers)". With an empty from
// it is what somebody pulls who has nothing.
func Sentence(from, to string, old, new []LayerSize) string {
	if from == "" {
		_, total, changed := Price(nil, new)
		return fmt.Sprintf("%s pulls %s (%s)", to, Bytes(total), count(changed, "layer"))
	}
	pull, total, changed := Price(old, new)
	_, _, all := Price(nil, new)
	if changed == 0 {
		return fmt.Sprintf("%s -> %s pulls no layer (%s are the same)", from, to, Bytes(total))
	}
	return fmt.Sprintf("%s -> %s pulls %s of %s (%d of %s)", from, to, Bytes(pull), Bytes(total), changed, count(all, "layer"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Bytes is a size for people, in units of 1,000: "999 B", "1.2 kB", "38 MB", "1.4 GB".
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	unit, units := int64(1000), "kMGTPE"
	for i := 0; ; i++ {
		tenths := (n + unit/20) / (unit / 10) // rounded
		switch {
		case tenths < 100:
			return fmt.Sprintf("%d.%d %cB", tenths/10, tenths%10, units[i])
		case (n+unit/2)/unit < 1000 || i == len(units)-1:
			return fmt.Sprintf("%d %cB", (n+unit/2)/unit, units[i])
		}
		unit *= 1000
	}
}

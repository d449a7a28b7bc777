package pnpm

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// ExtensionsChecksum is what the lock says of packageExtensions: the hash that the JavaScript library object-hash gives,
// regardless of the order of keys and lists. It is empty where there are none.
func ExtensionsChecksum(v any) string {
	if m, ok := v.(map[string]any); !ok || len(m) == 0 {
		return ""
	}
	var b strings.Builder
	writeHashed(&b, v)
	sum := sha256.Sum256([]byte(b.String()))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func writeHashed(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		fmt.Fprintf(b, "object:%d:", len(v))
		for _, k := range slices.SortedFunc(maps.Keys(v), func(a, b string) int { return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b))) }) {
			writeHashed(b, k)
			b.WriteByte(':')
			writeHashed(b, v[k])
			b.WriteByte(',')
		}
	case []any:
		var items []string
		for _, e := range v {
			var one strings.Builder
			writeHashed(&one, e)
			items = append(items, one.String())
		}
		fmt.Fprintf(b, "array:%d:", len(v))
		if len(items) > 1 {
			fmt.Fprintf(b, "array:%d:", len(v))
			slices.Sort(items)
			for i, s := range items {
				var one strings.Builder
				writeHashed(&one, s)
				items[i] = one.String()
			}
		}
		b.WriteString(strings.Join(items, ""))
	case string:
		fmt.Fprintf(b, "string:%d:%s", len(utf16.Encode([]rune(v))), v)
	case bool:
		fmt.Fprintf(b, "bool:%t", v)
	case nil:
		b.WriteString("Null")
	}
}

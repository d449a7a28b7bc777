package layers

import (
	"path"
	"strings"

	"hewn.example/hewn/internal/tree"
)

// headerSize is what an entry of a layer costs beside its content: 512 bytes of tar header that are mostly zeros and
// repetitions of the one before.
const headerSize = 64

// estimate is the size that a file of some kind has after compression, in percent; measured with zstd's default level on
// the trees of a Python and web application. Layers are planned by it; prices that are said for real images use the real
// sizes.
func estimate(e tree.Entry) int64 {
	if e.Kind != tree.KindFile {
		return headerSize
	}
	return headerSize + e.Digest.Size()/100*percent(e.Name) + e.Digest.Size()%100*percent(e.Name)/100
}

func percent(name string) int64 {
	switch strings.ToLower(path.Ext(name)) {
	case ".gz", ".bz2", ".xz", ".zst", ".br", ".zip", ".whl", ".jar", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".woff", ".woff2", ".mmdb":
		return 99
	case ".map", ".svg", ".json", ".po", ".xml", ".html", ".csv":
		return 20
	case ".py", ".pyi", ".js", ".mjs", ".ts", ".css", ".md", ".txt", ".rst", ".yaml", ".yml", ".c", ".h", ".go", ".sql", ".pem", ".crt":
		return 27
	case ".pyc", ".mo":
		return 44
	}
	return 36 // programs and libraries
}

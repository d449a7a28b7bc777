package disk

import (
	"sync"

	"hewn.example/hewn/internal/tree"
)

// cacheEntries is how many directory entries each of the cache's two generations holds: some 50 MB together. A root of
// 100,000 files fits.
const cacheEntries = 150_000

// dirCache keeps decoded directories. When the young generation is full it becomes the old one, and what nobody asked
// for since is dropped with it.
type dirCache struct {
	mu         sync.RWMutex
	young, old map[tree.Tree]*tree.Directory
	entries    int
}

func (c *dirCache) get(t tree.Tree) *tree.Directory {
	c.mu.RLock()
	d, old := c.young[t], c.old[t]
	c.mu.RUnlock()
	if d == nil && old != nil {
		c.put(t, old)
		return old
	}
	return d
}

func (c *dirCache) put(t tree.Tree, d *tree.Directory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || c.entries > cacheEntries {
		c.old, c.young, c.entries = c.young, map[tree.Tree]*tree.Directory{}, 0
	}
	c.young[t] = d
	c.entries += 1 + len(d.Files) + len(d.Dirs) + len(d.Links)
}

package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"hewn.example/hewn/internal/engine"
	"hewn.example/hewn/internal/store/disk"
	"hewn.example/hewn/internal/store/fingerprint"
)

// kept is what is written: the engine's record, and the name of the target, which a reference may leave open.
type kept struct {
	Target string          `json:"target"`
	Record json.RawMessage `json:"record"`
}

// record is the way to a target's build record: what makes a build in which nothing changed one look-up.
type record struct {
	st  *disk.Store
	key string
}

// record finds the key under which the place's build record is kept. It evaluates nothing: the recipe counts by its
// files, a target that was not named by being the default.
func (c *command) record(p *place, st *disk.Store) (*record, error) {
	files, err := p.recipeDigest()
	if err != nil {
		return nil, err
	}
	lock, err := p.lockBytes()
	if err != nil {
		return nil, err
	}
	cut, err := p.layersBytes()
	if err != nil {
		return nil, err
	}
	return &record{st: st, key: engine.RecordKey(
		"v2", buildID(), p.ws.Dir, p.recipe, files.String(), string(p.ws.Raw), string(lock), p.target, c.flags.plat.String(),
		string(cut), fmt.Sprint(p.image, p.images))}, nil
}

// lookup gives the outcome that is recorded, if every directory source is still what it was.
func (r *record) lookup(ctx context.Context) (outcome, bool) {
	b, ok := r.st.LoadRecord(r.key)
	if !ok {
		return outcome{}, false
	}
	var k kept
	if json.Unmarshal(b, &k) != nil {
		return outcome{}, false
	}
	rec, err := engine.DecodeRecord(k.Record)
	if err != nil {
		return outcome{}, false
	}
	for _, text := range rec.Sources {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return outcome{}, false
		}
		fp, err := fingerprint.Parse(raw)
		if err != nil || !fp.Unchanged() {
			return outcome{}, false
		}
	}
	if _, err := r.st.Directory(ctx, rec.Output); err != nil {
		return outcome{}, false
	}
	steps := rec.Steps
	steps.Run, steps.Cached = 0, steps.Total
	return outcome{k.Target, rec.Output, steps}, true
}

// save writes the record of what was just built. Failing to is no failure of the build.
func (r *record) save(_ context.Context, s *shop, o outcome) {
	rec := engine.Record{Sources: map[string]string{}, Output: o.tree, Steps: o.stats}
	for name, fp := range s.sources.fingerprints() {
		raw, err := fp.MarshalBinary()
		if err != nil {
			return
		}
		rec.Sources[name] = base64.StdEncoding.EncodeToString(raw)
	}
	if b, err := json.Marshal(kept{o.target, rec.Encode()}); err == nil {
		_ = r.st.SaveRecord(r.key, b)
	}
}

package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestCollectPatiently(t *testing.T) {
	percent := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	const usual = 100
	defer debug.SetGCPercent(debug.SetGCPercent(usual))
	patient := false
	for range 10 { // a collection may come between
		collectPatiently()
		if patient = percent() == usual*patience; patient {
			break
		}
		debug.SetGCPercent(usual)
	}
	if !patient {
		t.Fatalf("before a collection it is %d %%, not %d", percent(), usual*patience)
	}
	for end := time.Now().Add(10 * time.Second); percent() != usual; time.Sleep(time.Millisecond) {
		runtime.GC()
		if time.Now().After(end) {
			t.Fatalf("after a collection it is %d %%, not %d", percent(), usual)
		}
	}
}

package tiered_test

import (
	"testing"

	"hewn.example/hewn/internal/digest"
	"hewn.example/hewn/internal/store"
	"hewn.example/hewn/internal/store/memory"
	"hewn.example/hewn/internal/store/storetest"
	"hewn.example/hewn/internal/store/tiered"
	"hewn.example/hewn/internal/tree"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return tiered.New(memory.New(), memory.New(), true) })
	storetest.Run(t, func(*testing.T) store.Store { return tiered.New(memory.New(), memory.New(), false) })
}

// TestBetweenMachines: what one machine recorded, another one gets from the store that both have behind their own.
func TestBetweenMachines(t *testing.T) {
	ctx, far := t.Context(), memory.New()
	one, two := memory.New(), memory.New()
	a, b := tiered.New(one, far, true), tiered.New(two, far, false)
	builder := tree.NewBuilder()
	for i := range 40 {
		d, err := a.Put(ctx, storetest.Content(uint64(i), i*500))
		if err == nil {
			err = builder.File("d/e/"+string(rune('a'+i)), d, i%2 == 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := builder.Build(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := a.Put(ctx, []byte("what it said"))
	key := store.KeyOf(digest.Of([]byte("step")))
	want := store.Result{Output: out, Log: log}
	if err := a.Record(ctx, key, want); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Result(ctx, key); err != nil || got != want {
		t.Fatalf("%v %v", got, err)
	}
	for name, s := range map[string]store.Store{"far": far, "near": two} {
		if got, err := s.Result(ctx, key); err != nil || got != want {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if left, err := s.Missing(ctx, []digest.Digest{log}); err != nil || len(left) != 0 {
			t.Errorf("%s lacks the log: %v", name, err)
		}
	}
	if err := b.Record(ctx, store.KeyOf(digest.Of([]byte("other"))), want); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Result(ctx, store.KeyOf(digest.Of([]byte("other")))); !store.IsNotFound(err) {
		t.Error("uploaded although it must not")
	}
}

# Everything that is done to hewn by hand or by CI.
.PHONY: build test race e2e bench lint fuzz

build:
	CGO_ENABLED=0 go build -trimpath -o bin/hewn ./cmd/hewn

# The same command as the README gives.
test:
	go test ./...

race:
	go test -race ./...

# Builds, tests and boots the miniature from the registries that this machine is configured for.
e2e: build
	go test -tags e2e -count=1 -timeout 70m -v ./e2e/...

bench:
	go test -run '^$$' -bench . -benchtime 1x ./...
	bench/run

lint:
	@fmt=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$fmt" || { echo "not gofmt-clean:"; echo "$$fmt"; exit 1; }
	go vet ./...
	go vet -tags e2e ./e2e/...
	go tool staticcheck ./...
	GOOS=darwin go build ./...
	GOARCH=arm64 go vet ./...

# Readers and unpackers for FUZZTIME each, the rest for ten seconds at most. What makes a target fail is printed, and stays in its package's testdata.
FUZZTIME ?= 10s
fuzz:
	go run ./bench/fuzz -time $(FUZZTIME)

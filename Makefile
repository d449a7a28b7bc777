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
	go test -tags e2e -count=1 -timeout 45m -v ./e2e/...

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

FUZZTIME ?= 10s
fuzz:
	@go list ./... | while read -r pkg; do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; done; done

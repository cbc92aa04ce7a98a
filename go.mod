module github.com/netns-verify/netns-verify

go 1.26.0

require (
	github.com/bmatcuk/doublestar/v4 v4.10.4
	github.com/moby/sys/reexec v0.1.0
	github.com/rs/zerolog v1.35.1
	golang.org/x/sys v0.49.0
)

require (
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
)

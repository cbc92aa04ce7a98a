//go:build race

package simkernel

const raceDetector = true

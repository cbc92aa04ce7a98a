// Command guest is the first process of a machine in which runs of netns-verify are
// killed, and the host is looked at afterwards.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/netns-verify/netns-verify/internal/guest"
	"github.com/netns-verify/netns-verify/internal/guestlink"
	"github.com/netns-verify/netns-verify/internal/kmod"
	"github.com/netns-verify/netns-verify/internal/storm/order"
)

// build is stamped: it must be that of the other side.
var build string

func main() {
	if !guest.Selected(os.Args) {
		fmt.Fprintln(os.Stderr, "guest: only the first process of a machine of the storm's may do this")
		os.Exit(2)
	}
	guest.Serve(build, func(out *guestlink.Sender) (*guestlink.Final, error) {
		return &guestlink.Final{}, obey(func(r order.Round) error {
			line, err := json.Marshal(r)
			if err == nil {
				err = out.Send(guestlink.Message{Log: &guestlink.Log{Line: line}})
			}
			return err
		})
	})
}

// One run in so many writes the host, too.
const (
	hostWrites = 10
	writeHost  = "--write-host"
)

// name tells runs apart that take more or less time.
func name(row order.Row) string { return row.Keys + " " + strings.Join(row.Arguments, " ") }

// obey carries out the order and tells of each round.
func obey(tell func(order.Round) error) error {
	var o order.Order
	text, err := os.ReadFile(order.Path)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	if err := os.Chmod(order.Tool, 0o755); err != nil {
		return err
	}
	// Keys that move by themselves take a third of a run, and are no matter of who is killed.
	if err := kmod.Load(order.Module, "still=1"); err != nil {
		return err
	}
	h, err := findHost()
	if err != nil {
		return err
	}
	if err := os.Chmod("/tmp", 0o777|os.ModeSticky); err != nil { // nobody has the journal there
		return err
	}
	s := &storm{host: h, rng: rand.New(rand.NewPCG(o.Seed, 0)), args: o.Arguments, longest: map[string]int64{}}
	var todo []order.Kind
	for _, k := range order.Kinds() {
		for range o.Times[k] {
			todo = append(todo, k)
		}
	}
	s.rng.Shuffle(len(todo), func(i, j int) { todo[i], todo[j] = todo[j], todo[i] })
	for misses := 0; len(todo) > 0 && misses < 100; {
		row := o.Rows[s.rng.IntN(len(o.Rows))]
		if !row.Nobody && s.rng.IntN(hostWrites) == 0 {
			row.Arguments = append(slices.Clone(row.Arguments), writeHost, "--yes")
		}
		if s.longest[name(row)] == 0 {
			calm := s.round(order.Nothing, row)
			if err := tell(calm); err != nil || len(calm.Wrong) > 0 {
				return err
			}
			s.longest[name(row)] = calm.TookMS
		}
		r := s.round(todo[0], row)
		if r.Missed {
			misses++
		} else {
			misses, todo = 0, todo[1:]
		}
		if err := tell(r); err != nil {
			return err
		}
	}
	if len(todo) > 0 {
		return fmt.Errorf("there is never a %s to be hit", todo[0])
	}
	return nil
}

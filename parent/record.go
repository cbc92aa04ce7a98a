package parent

import (
	"errors"
	"slices"

	"github.com/netns-verify/netns-verify/internal/report"
	"github.com/netns-verify/netns-verify/internal/sysctl"
	"github.com/netns-verify/netns-verify/parent/client"
	"github.com/netns-verify/netns-verify/parent/finding"
	"github.com/netns-verify/netns-verify/parent/record"
	"github.com/netns-verify/netns-verify/parent/restore"
	"github.com/netns-verify/netns-verify/parent/trace"
	"github.com/netns-verify/netns-verify/protocol"
)

// beginRecord comes before anything is written.
func (r *run) beginRecord() error {
	return r.o.Record.Begin(r.host.Baseline(), r.o.Settle)
}

// onRecord has a pass's values on record before its first batch is sent.
func (p *passState) onRecord(batches [][]int) error {
	items := make([][]protocol.Item, len(batches))
	for i, batch := range batches {
		for _, index := range batch {
			items[i] = append(items[i], p.item(index, p.kind))
		}
	}
	return p.o.Record.Plan(items)
}

// announce has it on record what a child is about to be sent, with what was learnt since
// the last time. With its error nothing is sent.
func (r *run) announce(c *client.Client, req protocol.Request) error {
	if err := r.recordLearnt(); err != nil {
		return err
	}
	return r.o.Record.Request(c.PID(), r.writer, req)
}

// announceThrough is announce for what we write ourselves, through descriptors.
func (r *run) announceThrough(ws []trace.Write) error {
	if err := r.recordLearnt(); err != nil {
		return err
	}
	return r.o.Record.Through(ws)
}

// recordLearnt has on record what is known of the host's keys by now. What was not as found
// before the first write is others' doing.
func (r *run) recordLearnt() error {
	if !r.o.Record.Record().Sent() {
		off, err := r.hostOff()
		if err != nil {
			return err
		}
		for _, e := range off {
			_ = r.o.Record.Theirs(e.Key, e.After) // what fails, the announcement tells
		}
	}
	var restless []sysctl.Key
	for p := range r.restless {
		if p.Observer == trace.Host && !r.leaks.ByReading(p) {
			restless = append(restless, p.Key)
		}
	}
	slices.Sort(restless)
	_ = r.o.Record.Restless(restless)
	for _, f := range r.foreign {
		if f.Observer == trace.Host && f.After.OK() && !r.stuck[f.Key] && !r.restless[f.Place] && r.host.Expected(f.Key) == f.After {
			_ = r.o.Record.Theirs(f.Key, f.After)
		}
	}
	return r.o.Record.Err()
}

// recordLeak has it on record which keys of the host a leak changes.
func (r *run) recordLeak(l *finding.Leak) {
	var keys []sysctl.Key
	for _, e := range l.Effects {
		if e.Observer == trace.Host && e.Key.Network() {
			keys = append(keys, e.Key)
		}
	}
	if len(keys) == 0 {
		return
	}
	line := record.Line{Confirmed: record.KeysOf(keys)}
	switch l.Status {
	case finding.OneWay:
		line = record.Line{OneWay: record.KeysOf(keys)}
	case finding.Unresolved:
		line = record.Line{Unresolved: record.KeysOf(keys)}
	}
	_ = r.o.Record.Learn(line) // what fails, the next announcement tells
}

// endRecord ends the record, or leaves it where something of the host may still be put back.
func (r *run) endRecord() error {
	left := slices.ContainsFunc(r.lost, func(n report.NotRestored) bool {
		return n.What == report.WhatSysctl && sysctl.Key(n.Key).Network() && !n.OneWay
	})
	keep := r.o.Record.Filed() && (left || !r.verified)
	if keep {
		r.warn("the host is not as it was found: the journal is kept, for netns-verify restore to try again")
	}
	if r.o.Record.Filed() && r.unended.Load() {
		r.warn("%v", restore.ErrUnended)
		return errors.Join(restore.ErrUnended, r.o.Record.End(true))
	}
	err := r.o.Record.End(keep)
	if errors.Is(err, record.ErrKeep) {
		r.warn("%v", err)
	}
	return err
}

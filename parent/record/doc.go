// Package record is what is on file of a run before it writes, for whoever puts the host
// back: the run itself, its guardian, or `netns-verify restore`. The file is one line of
// JSON after another, and only ever grows (docs/restore.md describes it). Here are its
// place, its lines, how the run appends them (Writer), how they are read (Record), and
// the rule: which changes of the host go back (Record.Judge). The rule is a pure function.
//
// To write to a host or to start processes does not belong here: see parent/restore. Start
// with Writer and Judge.
package record

// Package restore puts a host back from the record of a run: for the guardian, which does it
// when its run is gone, for `netns-verify restore`, and for whoever else ends a run. What
// goes back is the record's to say (record.Judge); here is how: children that may still
// write are ended, then keys are put back through a writer and on the host, at once and
// once more when what comes late has come. Nothing is tried out.
//
// What a run looks for and what it reports does not belong here. Start with Host.Put.
package restore

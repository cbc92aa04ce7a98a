// Package verdict turns what a run has found out into its report: a verdict for each key
// (Case), answers to lines of --keys-from, leaks and effects as they are shown, with secrets
// hidden (Secrets). It reaches conclusions from what is known and finds out nothing; who
// collects that is package parent. Start with Case.Keys.
package verdict

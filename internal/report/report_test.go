package report

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// What readers of the JSON see must be explained to them.
func TestFieldsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/report.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] || typ.PkgPath() != reflect.TypeFor[Report]().PkgPath() {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous:
			case name == "":
				t.Errorf("%s.%s has no JSON name", typ, f.Name)
			case !strings.Contains(string(doc), "`"+name+"`"):
				t.Errorf("docs/report.md does not explain `%s` (%s.%s)", name, typ, f.Name)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Report]())

	for _, word := range []string{
		string(VerdictLeak), string(VerdictUntested), string(VerdictIsolated), string(VerdictWriteOnly), string(VerdictReadOnly), string(VerdictHostOnly),
		string(ReasonRefused), string(ReasonNoCandidate), string(ReasonLatched), string(ReasonOneWay), string(ReasonUnobserved), string(ReasonExcluded),
		string(ReasonUnresolved), string(ReasonStopped), string(StatusConfirmed), string(StatusUnresolved), SchemaVersion,
	} {
		if !strings.Contains(string(doc), "`"+word+"`") {
			t.Errorf("docs/report.md does not explain `%s`", word)
		}
	}
}

func TestNormalize(t *testing.T) {
	r := Report{
		Plan: []Planned{{Key: "net/p"}},
		Keys: []Key{
			{Key: "net/b", Writers: map[string]Writer{"root": {}}},
			{Key: "net/a"},
		},
		Leaks: []Leak{
			{Cause: []Cause{{Key: "net/z"}}},
			{Effects: []Effect{{Key: "net/y"}, {Key: "net/m", Observer: ObserverHost}, {Key: "net/m", Observer: ObserverLater}}},
		},
	}
	r.Normalize()
	if r.Keys[0].Key != "net/a" || r.Leaks[0].Effects[0].Observer != ObserverHost || r.Leaks[1].Cause[0].Key != "net/z" {
		t.Errorf("not sorted: %+v", r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"leaks", "unconfirmed", "keys", "warnings", "arguments", "writers", "not_restored", "attempts", "cause", "effects", "candidates", "verdicts", "modules", "kernel_messages"} {
		if strings.Contains(string(text), `"`+name+`":null`) {
			t.Errorf("%s is null", name)
		}
	}
	if !strings.HasPrefix(string(text), `{"schema_version":"1.0"`) {
		t.Errorf("schema_version is not first: %.60s", text)
	}
}

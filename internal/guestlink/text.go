package guestlink

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"unicode"
)

// Printable is a guest's text as one line, without what could move the cursor of the
// terminal that it is shown on.
func Printable(s string) string {
	s = strings.NewReplacer("\t", " ", "\r\n", " ", "\n", " ").Replace(harmless(s))
	return strings.TrimSpace(s)
}

// harmless leaves control characters out, save those that only lay out text.
func harmless(s string) string {
	if strings.IndexFunc(s, harms) < 0 {
		return s // not even what is no UTF-8 becomes something else
	}
	return strings.Map(func(r rune) rune {
		if harms(r) {
			return -1
		}
		return r
	}, s)
}

func harms(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }

// harmless is the message with all its texts so. Values of sysctls, which are
// pointers to texts, are as they were read: they are quoted where they are shown.
func (m *Message) harmless() {
	walk(reflect.ValueOf(m).Elem())
	switch {
	case m.Progress != nil:
		m.Progress.Phase, m.Progress.Doing = Printable(m.Progress.Phase), Printable(m.Progress.Doing)
	case m.Log != nil:
		m.Log.Line = harmlessJSON(m.Log.Line)
	}
}

func walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(harmless(v.String()))
	case reflect.Pointer:
		if v.Type().Elem().Kind() != reflect.String {
			walk(v.Elem()) // of a nil pointer there is nothing
		}
	case reflect.Struct:
		for _, f := range v.Fields() {
			if f.CanSet() { // a time has fields that are its own
				walk(f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			key, value := reflect.New(k.Type()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.Set(k)
			value.Set(v.MapIndex(k))
			v.SetMapIndex(k, reflect.Value{})
			walk(key)
			walk(value)
			v.SetMapIndex(key, value)
		}
	}
}

// harmlessJSON is a line of a log. Its fields keep their order where there is nothing
// to leave out.
func harmlessJSON(line json.RawMessage) json.RawMessage {
	if !bytes.ContainsRune(line, '\\') && bytes.IndexFunc(line, harms) < 0 {
		return line
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var event any
	if d.Decode(&event) != nil {
		return nil // it never is: the message was decoded
	}
	clean, _ := json.Marshal(harmlessValue(event)) // what was decoded can be encoded
	return clean
}

func harmlessValue(v any) any {
	switch v := v.(type) {
	case string:
		return harmless(v)
	case []any:
		for i := range v {
			v[i] = harmlessValue(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, value := range v {
			clean[harmless(key)] = harmlessValue(value)
		}
		return clean
	}
	return v
}

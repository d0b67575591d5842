package suite

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/verbose-bus/verbose/codec"
)

var update = flag.Bool("update", false, "rewrite the file that bench/report is tested with")

// everyField is read by the tests of bench/report, whose types are others.
const everyField = "../report/testdata/fields.json"

// TestFormat holds the file to what a report is with every field set, so that bench/report notices when that changes.
func TestFormat(t *testing.T) {
	r := new(report)
	set(reflect.ValueOf(r).Elem())
	r.Schema = schema
	got, err := json.MarshalIndent(r, "", " ")
	must(t, err)
	got = append(got, '\n')
	if *update {
		must(t, os.WriteFile(everyField, got, 0o644))
	}
	want, err := os.ReadFile(everyField)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("the format has changed. If that is right: go test ./bench/suite -run TestFormat -update, and bench/README.md")
	}
}

// set makes nothing in a value zero that is a part of results.
func set(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
		return
	case codec.Mode:
		v.Set(reflect.ValueOf(codec.Zstd))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		set(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				set(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		set(key)
		set(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.String:
		v.SetString("x")
	default:
		panic("no value for " + v.Type().String())
	}
}

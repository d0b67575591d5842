package main

import (
	"bytes"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestPage(t *testing.T) {
	page, _, err := render([]document{documentOf(t, "speed.json"), documentOf(t, "links.json"), documentOf(t, "behaviour.json")})
	if err != nil {
		t.Fatal(err)
	}
	main := page[bytes.Index(page, []byte("<body>")):]
	equalsGolden(t, "body.html", figureOnPage.ReplaceAll(main, []byte("[figure]\n")))
}

// figureOnPage has golden files of its own.
var figureOnPage = regexp.MustCompile(`(?s)<svg.*?</svg>\n`)

// TestPageNeedsNothingElse: whatever is in the results, the page has no scripts and loads nothing.
func TestPageNeedsNothingElse(t *testing.T) {
	documents := []document{documentOf(t, "speed.json"), documentOf(t, "links.json"), documentOf(t, "behaviour.json")}
	const hostile = `</text></style></svg>"'><script src=http://example.com/x.js onload=x()>&` + "\x00\x1b"
	taint(reflect.ValueOf(documents), hostile)
	page, figures, err := render(documents)
	if err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]int)
	var links []string
	for n := range root.Descendants() {
		switch n.Data {
		case "script", "link", "img", "iframe", "image", "use", "object", "base":
			if n.Type == html.ElementNode {
				t.Errorf("the page has an element %s", n.Data)
			}
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "id":
				ids[a.Val]++
			case a.Key == "href":
				links = append(links, a.Val)
			case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "style":
				t.Errorf("%s has an attribute %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%d elements have the id %q", n, id)
		}
	}
	for _, link := range links {
		if target, local := strings.CutPrefix(link, "#"); !local || ids[target] == 0 {
			t.Errorf("a link goes to %q", link)
		}
	}
	for _, f := range figures {
		if elements(t, f.file())["script"] {
			t.Errorf("%s has a script", f.ID)
		}
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(f.ID) {
			t.Errorf("a file would be called %q", f.ID)
		}
	}
	if strings.Contains(colours+pageStyle, "url(") || strings.Contains(colours+pageStyle, "@import") {
		t.Error("the style loads something")
	}
}

// taint appends a text to every other but those that have a meaning here.
func taint(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + text)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Type().Field(i).IsExported() && !slices.Contains([]string{"Histogram", "Pattern", "Size"}, name) {
				taint(v.Field(i), text)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			taint(v.Index(i), text)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			taint(value, text)
			v.SetMapIndex(key, reflect.Value{})
			name := key.String()
			if _, metric := map[string]bool{"rate": true, "p50": true, "p99": true, "cpu": true, "recovery": true}[name]; !metric {
				name += text
			}
			v.SetMapIndex(reflect.ValueOf(name), value)
		}
	case reflect.Interface:
		if s, ok := v.Interface().(string); ok {
			v.Set(reflect.ValueOf(s + text))
		}
	}
}

// TestContrast holds the colours of both themes to what WCAG 2.2 asks for: 4.5 for text, 3 for what is drawn.
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(colours, "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("there is no dark theme")
	}
	for theme, text := range map[string]string{"light": light, "dark": dark} {
		luminances := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			luminances[m[1]] = luminance(t, m[2])
		}
		if len(luminances) != 6+3+mostLines {
			t.Errorf("%s: %d colours", theme, len(luminances))
		}
		for name, l := range luminances {
			least := 3.0
			switch name {
			case "page", "rule": // lines that only lead the eye
				continue
			case "text", "quiet", "link", "alarm":
				least = 4.5
			}
			bright, dim := max(l, luminances["page"]), min(l, luminances["page"])
			if contrast := (bright + 0.05) / (dim + 0.05); contrast < least {
				t.Errorf("%s: the contrast of %s is %.1f, want %.1f", theme, name, contrast, least)
			}
		}
	}
}

// luminance is the relative luminance of an sRGB colour, by WCAG.
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

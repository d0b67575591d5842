package main

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode/utf8"
)

// width of every figure: narrow enough to be read on a phone as it is.
const width = 360

// figure is a finished drawing. As a part of the page it takes its colours from there; as a file it has them itself.
type figure struct {
	ID          string // unique on the page, and the name of the file
	Title, Desc string // for who doesn't see it
	height      float64
	body        string
}

//go:embed colours.css
var colours string

// Inline is the figure as a part of the page.
func (f figure) Inline() template.HTML { return template.HTML(f.svg("")) } // svg escapes

// file is the figure by itself.
func (f figure) file() []byte { return []byte(f.svg("<style>" + colours + "</style>\n")) }

func (f figure) svg(style string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 %[1]d %[2]s" role="img" aria-labelledby="%[3]s-title %[3]s-desc">
<title id="%[3]s-title">%[4]s</title>
<desc id="%[3]s-desc">%[5]s</desc>
%[6]s%[7]s</svg>
`, width, number(f.height), escape(f.ID), escape(f.Title), escape(f.Desc), style, f.body)
}

// drawing is a figure that grows. Classes are those of colours.css.
type drawing struct{ body strings.Builder }

// point is a place on a drawing, from its top left.
type point struct{ x, y float64 }

func (d *drawing) line(class string, from, to point) {
	fmt.Fprintf(&d.body, "<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n", escape(class), number(from.x), number(from.y), number(to.x), number(to.y))
}

func (d *drawing) rect(class string, at point, width, height float64) {
	fmt.Fprintf(&d.body, "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>\n", escape(class), number(at.x), number(at.y), number(width), number(height))
}

func (d *drawing) dot(class string, at point, radius float64) {
	fmt.Fprintf(&d.body, "<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"%s\"/>\n", escape(class), number(at.x), number(at.y), number(radius))
}

func (d *drawing) curve(class string, points []point) {
	fmt.Fprintf(&d.body, "<polyline class=\"%s\" points=\"", escape(class))
	for i, p := range points {
		if i > 0 {
			d.body.WriteByte(' ')
		}
		d.body.WriteString(number(p.x) + "," + number(p.y))
	}
	d.body.WriteString("\"/>\n")
}

// text begins, has its middle or ends at a place, by its class: start, middle or end.
func (d *drawing) text(class string, at point, text string) {
	fmt.Fprintf(&d.body, "<text class=\"%s\" x=\"%s\" y=\"%s\">%s</text>\n", escape(class), number(at.x), number(at.y), escape(text))
}

// headline writes a title and a line below it, and returns where the rest begins.
func (d *drawing) headline(title, below string) float64 {
	const first, gap, rest = 13, 16, 11
	y := float64(first)
	for _, text := range wrap(title) {
		d.text("strong start", point{0, y}, text)
		y += gap
	}
	d.text("start", point{0, y}, below)
	return y + rest
}

// wrap breaks a text between words into lines that fit a figure. A percent sign stays with its number.
func wrap(text string) []string {
	const most = 46
	var lines []string
	for i, word := range strings.Fields(text) {
		last := len(lines) - 1
		if i > 0 && (strings.HasPrefix(word, "%") || utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= most) {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// number has a tenth of a unit, which nobody sees the end of.
func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// escape makes a text one for XML and HTML, in elements and in attributes.
func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder never fails
	return b.String()
}

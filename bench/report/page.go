package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"regexp"
	"strings"
	"time"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
)

// section is a document on the page.
type section struct {
	ID          string
	Title       string
	Interrupted bool
	Facts       []fact
	Modules     []fact
	Loss        *part // goodput against loss; nil where there is none
	Cells       []part
	Situations  []situation
}

// part is a cell on the page, or what several have together, which has no table.
type part struct {
	ID, Title string
	Rate      string // of an open loop
	Figures   []figure
	Table     table
}

// render makes the page, and the figures that are on it.
func render(documents []document) ([]byte, []figure, error) {
	var sections []section
	var figures []figure
	for i, d := range documents {
		s, err := d.section(fmt.Sprintf("run%d", i+1))
		if err != nil {
			return nil, nil, err
		}
		sections = append(sections, s)
		if s.Loss != nil {
			figures = append(figures, s.Loss.Figures...)
		}
		for _, p := range s.Cells {
			figures = append(figures, p.Figures...)
		}
	}
	var page bytes.Buffer
	err := pageTemplate.Execute(&page, struct {
		Style    template.CSS // ours, and nothing of the results
		Sections []section
	}{template.CSS(colours + pageStyle), sections})
	return page.Bytes(), figures, err
}

func (d document) section(id string) (section, error) {
	title, settings := "Speed", d.Settings
	if d.Plan != nil {
		title, settings = "When something goes wrong", d.Plan
	}
	s := section{
		ID: id, Title: title + ", " + d.Began.UTC().Format(time.DateOnly+" 15:04:05"), Interrupted: d.Interrupted,
		Facts: append(machine(d.Environment), facts(settings)...), Modules: modules(d.Environment),
		Situations: situations(d.Results),
	}
	losses, err := drawLosses(d.Rows)
	if err != nil {
		return s, err
	}
	if len(losses) > 0 {
		s.Loss = &part{ID: id + "-loss", Title: "Goodput against loss"}
		s.Loss.take(losses)
	}
	for i, rows := range d.cells() {
		p, err := partOf(fmt.Sprintf("%s-%d", id, i+1), rows)
		if err != nil {
			return s, err
		}
		s.Cells = append(s.Cells, p)
	}
	return s, nil
}

func partOf(id string, rows []row) (part, error) {
	p := part{ID: id, Title: rows[0].Cell.String(), Table: figuresOf(rows)}
	if rate := rows[0].OfferedRate; rate > 0 && rows[0].Cell.Rate == 0 { // else the title has it
		p.Rate = short(rate) + " events/s"
	}
	figures, err := draw(rows)
	p.take(figures)
	return p, err
}

// take gives figures their names.
func (p *part) take(figures []figure) {
	for i := range figures {
		figures[i].ID = fmt.Sprintf("%s-%d-%s", p.ID, i+1, slug(figures[i].Title))
	}
	p.Figures = figures
}

var notInSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug is a text as a part of a file's name.
func slug(text string) string {
	const most = 60
	text = notInSlug.ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(text[:min(len(text), most)], "-")
}

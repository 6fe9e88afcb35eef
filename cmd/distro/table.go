package main

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// grid is rows under headings. Cells may hold whatever a job or a client
// named: they are cleaned when they are printed.
type grid struct {
	header []string
	rows   [][]string
	status int // column whose word has a colour; -1: none
}

func newGrid(status int, header ...string) *grid {
	return &grid{header: header, status: status}
}

func (g *grid) add(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = clean(fmt.Sprint(cell))
	}
	g.rows = append(g.rows, row)
}

// print shows a table on a terminal, else columns aligned by spaces. Without a
// row it says none.
func (g *grid) print(con *console, none string) {
	switch {
	case len(g.rows) == 0 && con.outTerminal:
		fmt.Fprintln(con.out, none)
	case con.outTerminal:
		fmt.Fprintln(con.out, g.table(con))
	default:
		g.columns(con)
	}
}

func (g *grid) table(con *console) string {
	t := table.New().Border(lipgloss.RoundedBorder()).Headers(g.header...).Rows(g.rows...)
	t.StyleFunc(func(row, col int) lipgloss.Style {
		style := lipgloss.NewStyle().Padding(0, 1)
		switch {
		case !con.colors:
		case row == table.HeaderRow:
			style = style.Bold(true)
		case col == g.status:
			if c := statusColor(g.rows[row][col]); c != nil {
				style = style.Foreground(c)
			}
		}
		return style
	})
	if con.colors {
		t.BorderStyle(lipgloss.NewStyle().Faint(true))
	}
	if text := t.String(); con.width == 0 || lipgloss.Width(text) <= con.width {
		return text
	}
	return t.Width(con.width).String()
}

func (g *grid) columns(con *console) {
	widths := make([]int, len(g.header))
	lines := append([][]string{g.header}, g.rows...)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], lipgloss.Width(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			b.WriteString(cell)
			b.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(cell)+2))
		}
		fmt.Fprintln(con.out, strings.TrimRight(b.String(), " "))
	}
}

// facts are labelled values, one in a line; those without a value are left out.
type facts struct {
	labels, values []string
}

func (f *facts) add(label, value string) {
	if value != "" {
		f.labels, f.values = append(f.labels, label), append(f.values, value)
	}
}

func (f *facts) print(con *console) {
	width := 0
	for _, label := range f.labels {
		width = max(width, len(label))
	}
	for i, label := range f.labels {
		value := clean(f.values[i])
		if label == "status" {
			value = con.paint(value, statusColor(value))
		}
		fmt.Fprintln(con.out, con.bold(fmt.Sprintf("%-*s", width, label))+"  "+value)
	}
}

package console

import "strings"

// Table prints rows in aligned columns under a header. On a terminal the last
// column is cut to fit. A row may be shorter than the header.
func (s *Stream) Table(header []string, rows [][]Text) {
	head := make([]Text, len(header))
	for i, h := range header {
		head[i] = Text{h, Bold}
	}
	all := append([][]Text{head}, rows...)
	widths := make([]int, len(header))
	for _, row := range all {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cleanLine(cell.S)))
		}
	}
	columns, _ := s.Size()
	var b strings.Builder
	for _, row := range all {
		pad(row, widths).render(&b, s.colour, columns)
		b.WriteByte('\n')
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(s.cleaner.flush() + b.String())
}

// pad turns a row into a line with two spaces between its columns and none at
// its end.
func pad(row []Text, widths []int) Line {
	last := len(row) - 1
	for last > 0 && row[last].S == "" {
		last--
	}
	var line Line
	for i, cell := range row[:last+1] {
		line = append(line, cell)
		if i < last {
			line = append(line, Say(strings.Repeat(" ", widths[i]-Width(cleanLine(cell.S))+2)))
		}
	}
	return line
}

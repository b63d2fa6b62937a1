package console

import "strings"

// CSV prints records as RFC 4180 has it: fields are quoted where they must be, and
// lines end with CR LF. Characters that would act on a terminal are made visible,
// as everywhere.
func (s *Stream) CSV(records [][]string) {
	var b strings.Builder
	for _, record := range records {
		for i, field := range record {
			if i > 0 {
				b.WriteByte(',')
			}
			writeField(&b, s.secrets.Redact(Clean(field)))
		}
		b.WriteString("\r\n")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emit(s.cleaner.flush() + b.String())
}

func writeField(b *strings.Builder, field string) {
	if !strings.ContainsAny(field, "\",\r\n") && strings.TrimSpace(field) == field {
		b.WriteString(field)
		return
	}
	b.WriteByte('"')
	b.WriteString(strings.ReplaceAll(field, `"`, `""`))
	b.WriteByte('"')
}

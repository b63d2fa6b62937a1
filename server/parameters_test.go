package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestQueries: what cannot be meant is refused, and what is meant is said.
func TestQueries(t *testing.T) {
	t.Parallel()
	handler := NewHost(newDiary()).Handler()
	for target, want := range map[string]string{
		"/v1/runs?stat=running":               `there is no parameter \"stat\": did you mean \"state\"?`,
		"/v1/runs?state=running&state=failed": "state is given 2 times",
		"/v1/runs?limit=":                     `limit: want a number from 0 to 2147483647, not \"\"`,
		"/v1/runs?limit=-1":                   "limit: want a number from 0",
		"/v1/runs?limit=2147483648":           "limit: want a number from 0",
		"/v1/runs?q=%zz":                      "query: invalid URL escape",
		"/v1/runs/A?fold=yes":                 `fold: want true or false, not \"yes\"`,
		"/v1/runs/A/graph?x=1":                `there is no parameter \"x\", nor any other`,
		"/v1/runs/A/why":                      "unit is missing: STEP, or STEP/KEY",
		"/v1/runs/A/why?unit=":                "unit is missing: STEP, or STEP/KEY",
		"/v1/schedules/w/s/backfill?from=2026-01-01T00:00:00Z&to=now": `to: want an instant such as 2026-03-29T00:00:00Z, not \"now\"`,
		"/v1/runs/A/logs?unit=s&stream=all":                           `stream: want stdout, stderr, not \"all\"`,
		"/v1/runs/A/results?format=xml":                               `format: want json, csv, not \"xml\"`,
		"/v1/runs/A/events?from=0":                                    "from: want a number from 1",
		"/v1/runs/A/steps/s/instances?sort=name":                      "sort: want attempts, -attempts",
		"/v1/runs/A/steps/s/instances?sort=-since&x=1":                `there is no parameter \"x\", but `,
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", target, w.Code, w.Body, want)
		}
	}
}

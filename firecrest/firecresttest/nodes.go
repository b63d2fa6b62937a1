package firecresttest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fcflow/fcflow/firecrest"
)

func (s *suite) nodes() []subtest {
	return []subtest{
		{"liveness is open to all", s.testLiveness},
		{"liveness can fail", s.testLivenessFails},
		{"nodes have processors and states", s.testNodes},
		{"partitions are listed, hidden ones when asked for", s.testPartitions},
		{"reservations have times", s.testReservations},
		{"an unknown system has no nodes", s.testNoNodes},
	}
}

func (s *suite) statusPath(what string) string { return "/status/" + s.System + "/" + what }

func (s *suite) testLiveness(t *testing.T) {
	s.except(t, LacksLiveness)
	if _, err := s.newClient(t, nil).Status.Liveness(t.Context()); err != nil {
		t.Error(err)
	}
	req := s.request(t, http.MethodGet, "/status/liveness/", nil, nil)
	req.Header.Del("Authorization")
	var got struct {
		Runs map[string]time.Time `json:"healthcheckRuns"`
		Age  *int64               `json:"lastUpdate"`
	}
	s.send(t, req).want(t, http.StatusOK, &got)
	if got.Runs == nil || got.Age == nil || *got.Age < 0 {
		t.Errorf("liveness %+v", got)
	}
	if _, told := got.Runs[s.system.Name]; !told && s.system.Health != nil {
		t.Errorf("%s is probed, and not among the runs %v", s.system.Name, got.Runs)
	}
}

// testLivenessFails: the one operation in which nothing goes wrong by itself.
func (s *suite) testLivenessFails(t *testing.T) {
	id := s.inject(t, Injected{
		Status: http.StatusInternalServerError,
		Header: http.Header{"Content-Type": {"application/json"}, "F7t-Appversion": {s.client.ServerVersion()}},
		Body:   `{"errorType":"error","message":"('no run yet',)","causedBy":null,"data":null,"user":null}`,
	})
	_, err := s.newClient(t, nil, firecrest.WithTransport(correlated{s.http.Transport, id})).Status.Liveness(t.Context())
	wantError(t, err, nil, "no run yet")
}

// correlated gives all requests one correlation id.
type correlated struct {
	next http.RoundTripper
	id   string
}

func (c correlated) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Correlation-ID", c.id)
	return c.next.RoundTrip(req)
}

// nodeStates is the vocabulary of the state of nodes.
var nodeStates = []string{
	"IDLE", "ALLOCATED", "MIXED", "DOWN", "DRAIN", "OFFLINE", "RESERVED", "COMPLETING", "BUSY", "POWERING_DOWN", "POWERING_UP", "UNKNOWN",
}

func (s *suite) testNodes(t *testing.T) {
	s.except(t, NamesNodeStates)
	nodes, err := s.client.Status.Nodes(t.Context(), s.System)
	if err != nil || len(nodes) == 0 {
		t.Fatalf("nodes %+v, %v", nodes, err)
	}
	var got struct {
		Nodes []struct {
			Name   string   `json:"name"`
			CPUs   *int64   `json:"cpus"`
			States []string `json:"state"`
		} `json:"nodes"`
	}
	s.get(t, s.statusPath("nodes"), nil).want(t, http.StatusOK, &got)
	names := map[string]bool{}
	for _, n := range got.Nodes {
		if n.CPUs == nil || n.Name == "" || names[n.Name] || len(n.States) == 0 {
			t.Errorf("node %+v", n)
		}
		names[n.Name] = true
		for _, state := range n.States {
			if !slices.Contains(nodeStates, state) {
				t.Errorf("node %s: state %q", n.Name, state)
			}
		}
	}
}

func (s *suite) testPartitions(t *testing.T) {
	shown, err := s.client.Status.Partitions(t.Context(), s.System, nil)
	if err != nil || len(shown) == 0 {
		t.Fatalf("partitions %+v, %v", shown, err)
	}
	all, err := s.client.Status.Partitions(t.Context(), s.System, &firecrest.PartitionOptions{ShowHidden: true})
	if err != nil || len(all) < len(shown) {
		t.Errorf("all partitions %+v, %v; without the hidden %+v", all, err, shown)
	}
	partitions := func(query url.Values) (names []string) {
		var got struct {
			Partitions []map[string]any `json:"partitions"`
		}
		s.get(t, s.statusPath("partitions"), query).want(t, http.StatusOK, &got)
		for _, p := range got.Partitions {
			for _, member := range []string{"name", "cpus", "totalNodes", "partition"} {
				if _, has := p[member]; !has {
					t.Errorf("partition %v has no %s", p, member)
				}
			}
			name, _ := p["name"].(string)
			names = append(names, name)
		}
		return names
	}
	some, every := partitions(nil), partitions(url.Values{"show_hidden": {"true"}})
	for _, name := range some {
		if !slices.Contains(every, name) {
			t.Errorf("%s is missing when hidden partitions are shown", name)
		}
	}
	if got := partitions(url.Values{"showHidden": {"true"}}); !slices.Equal(got, some) {
		t.Errorf("a parameter of another spelling changes %q to %q", some, got)
	}
	s.except(t, HidesPartitions)
	s.get(t, s.statusPath("partitions"), url.Values{"show_hidden": {"perhaps"}}).wantRefused(t, "query", "show_hidden")
	s.except(t, LacksHiddenPartitions)
	if len(every) <= len(some) {
		t.Errorf("of the partitions %q none is hidden", every)
	}
}

func (s *suite) testReservations(t *testing.T) {
	reservations, err := s.client.Status.Reservations(t.Context(), s.System)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Reservations []struct {
			Name  string  `json:"name"`
			Nodes *string `json:"nodeList"`
			Start *int64  `json:"startTime"`
			End   *int64  `json:"endTime"`
			State *string `json:"state"`
		} `json:"reservations"`
	}
	s.get(t, s.statusPath("reservations"), nil).want(t, http.StatusOK, &got)
	if len(got.Reservations) != len(reservations) || got.Reservations == nil {
		t.Errorf("got %+v, the client %+v", got, reservations)
	}
	for _, r := range got.Reservations {
		if r.Name == "" || r.Nodes == nil || r.Start == nil || r.End == nil || *r.End < *r.Start {
			t.Errorf("reservation %+v", r)
		}
		if r.State != nil && *r.State != strings.ToLower(*r.State) {
			t.Errorf("reservation %s: state %q", r.Name, *r.State)
		}
	}
	if len(got.Reservations) == 0 {
		s.skip(t, "the system has no reservation")
	}
}

func (s *suite) testNoNodes(t *testing.T) {
	const unknown = "no-such-system"
	_, err := s.client.Status.Nodes(t.Context(), unknown)
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Status.Partitions(t.Context(), unknown, nil)
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	_, err = s.client.Status.Reservations(t.Context(), unknown)
	wantError(t, err, firecrest.ErrNotFound, noSuchSystem)
	for _, what := range []string{"nodes", "partitions", "reservations", "userinfo"} {
		s.get(t, "/status/"+unknown+"/"+what, nil).wantMessage(t, http.StatusNotFound, noSuchSystem)
	}
}

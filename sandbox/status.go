package sandbox

import (
	"path"
	"strconv"
	"strings"
	"time"
)

// probeInterval is how often the imitated server checks its services.
const probeInterval = 120 * time.Second

// Shapes of GET /status/systems. The group dataOperation is in snake case on
// the wire, unlike everything around it.
type (
	systemsReply struct {
		Systems []systemReply `json:"systems"`
	}
	systemReply struct {
		Name            string            `json:"name"`
		SSH             sshReply          `json:"ssh"`
		Scheduler       schedulerReply    `json:"scheduler"`
		ServicesHealth  []healthReply     `json:"servicesHealth"`
		Probing         probingReply      `json:"probing"`
		LastHealthCheck *string           `json:"lastHealthCheck"`
		FileSystems     []fileSystemReply `json:"fileSystems"`
		DataOperation   dataReply         `json:"dataOperation"`
	}
	sshReply struct {
		Host       string         `json:"host"`
		Port       int            `json:"port"`
		ProxyHost  *string        `json:"proxyHost"`
		ProxyPort  *int           `json:"proxyPort"`
		MaxClients int            `json:"maxClients"`
		Timeout    map[string]int `json:"timeout"`
	}
	schedulerReply struct {
		Type           string  `json:"type"`
		ConnectionMode string  `json:"connectionMode"`
		Version        string  `json:"version"`
		APIURL         *string `json:"apiUrl"`
		APIVersion     *string `json:"apiVersion"`
		Timeout        int     `json:"timeout"`
	}
	healthReply struct {
		ServiceType string  `json:"serviceType"`
		LastChecked string  `json:"lastChecked"`
		Latency     float64 `json:"latency"`
		Healthy     bool    `json:"healthy"`
		Message     *string `json:"message"`
		Path        string  `json:"path,omitempty"` // file systems only
	}
	probingReply struct {
		Services      map[string]map[string]int `json:"services"`
		IntervalCheck int                       `json:"intervalCheck"`
	}
	fileSystemReply struct {
		Path           string `json:"path"`
		DataType       string `json:"dataType"`
		DefaultWorkDir bool   `json:"defaultWorkDir"`
	}
	dataReply struct {
		JobDirectives  []string `json:"datatransfer_jobs_directives"`
		MaxOpsFileSize int64    `json:"max_ops_file_size"`
		DataTransfer   any      `json:"data_transfer"`
	}
)

func (s *Server) getSystems(c *call) (reply, error) {
	out := systemsReply{Systems: []systemReply{}}
	for _, sys := range s.site.all() {
		out.Systems = append(out.Systems, s.describeSystem(sys, c.baseURL()))
	}
	return jsonReply(200, out), nil
}

func (s *Server) describeSystem(sys *SystemConfig, base string) systemReply {
	out := systemReply{
		Name: sys.Name,
		SSH: sshReply{Host: "localhost", Port: 22, MaxClients: 100, Timeout: map[string]int{
			"connection": 5, "login": 5, "idleTimeout": 60, "keepAlive": 5,
			"commandExecution": max(1, int(s.cfg.CommandTimeout.Seconds())),
		}},
		Scheduler: schedulerReply{Type: "slurm", ConnectionMode: "ssh", Version: "24.11.0", Timeout: 10},
		Probing:   probingReply{IntervalCheck: int(probeInterval.Seconds())},
		DataOperation: dataReply{
			JobDirectives: sys.TransferDirectives, MaxOpsFileSize: s.cfg.MaxOpsFileSize,
			DataTransfer: sys.transfer().describe(base),
		},
	}
	if sys.pbs() {
		out.Scheduler.Type, out.Scheduler.Version = "pbs", "23.06.06"
	}
	if out.DataOperation.JobDirectives == nil {
		out.DataOperation.JobDirectives = []string{}
	}
	for _, v := range s.volumes.list {
		out.FileSystems = append(out.FileSystems, fileSystemReply{v.path, v.dataType, v.defaultWorkDir})
	}
	if sys.probed() {
		checked := instant(s.lastProbe())
		out.LastHealthCheck = &checked
		out.ServicesHealth = s.describeHealth(sys, checked)
		out.Probing.Services = map[string]map[string]int{}
		for _, h := range out.ServicesHealth {
			out.Probing.Services[h.ServiceType] = map[string]int{"timeout": 5}
		}
	}
	return out
}

// describeHealth is what the probes of a system found.
func (s *Server) describeHealth(sys *SystemConfig, checked string) []healthReply {
	probe := func(service string, healthy bool, found, wrong *string) healthReply {
		healthy = healthy && !s.faults.seemsBroken(sys.Name, service)
		h := healthReply{ServiceType: service, LastChecked: checked, Latency: 0.1, Healthy: healthy, Message: found}
		if !healthy {
			h.Message = wrong
		}
		return h
	}
	pinged := new("[{'mode': 'primary', 'hostname': 'sandbox', 'pinged': 'UP'}]")
	found := []healthReply{
		probe("scheduler", sys.healthy(sys.Health.Scheduler), pinged, new("Timeout exceeded")),
		probe("ssh", sys.healthy(sys.Health.SSH), nil, new("SSH connection timeout limit exceeded.")),
	}
	for _, v := range s.volumes.list {
		h := probe("filesystem", sys.fileSystemHealthy(path.Base(v.path)) && !s.faults.seemsBroken(sys.Name, path.Base(v.path)), nil, new("Service timed out"))
		h.Path = v.path
		found = append(found, h)
	}
	if sys.transfer().Method == methodS3 {
		found = append(found, probe("s3", sys.healthy(sys.Health.S3), nil, new("Service timed out")))
	}
	return found
}

// lastProbe is when the services were last checked: on opening and every
// interval since.
func (s *Server) lastProbe() time.Time {
	return s.opened.Add(time.Since(s.opened).Truncate(probeInterval))
}

// instant is a point in time the way the server prints those of its probes.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func (s *Server) getLiveness(*call) (reply, error) {
	last := s.lastProbe()
	runs := map[string]string{}
	for _, sys := range s.site.all() {
		if sys.probed() {
			runs[sys.Name] = instant(last)
		}
	}
	age := int(time.Since(last).Seconds())
	if len(runs) == 0 {
		age = 0
	}
	return jsonReply(200, struct {
		Runs       map[string]string `json:"healthcheckRuns"`
		LastUpdate int               `json:"lastUpdate"`
	}{runs, age}), nil
}

// identity is a user or group, its number as text.
type identity struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type accountReply struct {
	Name    string `json:"name"`
	Default bool   `json:"default"`
}

func (s *Server) getUserinfo(c *call) (reply, error) {
	u, known := s.users.find(c.user)
	switch {
	case known:
	case c.site.pbs():
		return reply{}, s.canLogIn(c)
	default: // the scheduler is asked for the accounts first
		message := "Error executing Slurm command."
		return reply{}, &apiError{status: 500, message: message, causedBy: []string{message, noKey(c.user)}}
	}
	var out struct {
		User     identity       `json:"user"`
		Group    identity       `json:"group"`
		Groups   []identity     `json:"groups"`
		Accounts []accountReply `json:"accounts"`
	}
	out.User = identity{strconv.Itoa(u.uid), u.name}
	for _, g := range u.groups {
		out.Groups = append(out.Groups, identity{strconv.Itoa(g.gid), g.name})
	}
	out.Group = out.Groups[0]
	if !c.site.pbs() {
		for i, name := range c.site.accountsOf(u) {
			out.Accounts = append(out.Accounts, accountReply{name, i == 0})
		}
	}
	return jsonReply(200, out), nil
}

// getOpenAPI answers an outline of the API: the operations the sandbox has.
func (s *Server) getOpenAPI(*call) (reply, error) {
	type operation struct {
		OperationID string         `json:"operationId"`
		Tags        []string       `json:"tags"`
		Responses   map[string]any `json:"responses"`
	}
	paths := map[string]map[string]operation{}
	for _, row := range s.router {
		if row.segments[1] == "sandbox" || len(row.segments) == 2 {
			continue
		}
		method, path := strings.ToLower(row.method), strings.Join(row.segments, "/")
		if paths[path] == nil {
			paths[path] = map[string]operation{}
		}
		paths[path][method] = operation{
			OperationID: method + strings.NewReplacer("/", "_", "{", "", "}", "").Replace(path),
			Tags:        []string{row.segments[1]},
			Responses:   map[string]any{"default": map[string]string{"description": "as in FirecREST " + s.release.name}},
		}
	}
	return jsonReply(200, map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]string{"title": "FirecREST", "version": s.release.name},
		"paths":   paths,
	}), nil
}

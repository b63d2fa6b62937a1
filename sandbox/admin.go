package sandbox

import "encoding/json"

// postSystems adds systems while the sandbox runs: POST /sandbox/systems with
// {"systems":["daint"]}, over loopback, with the admin secret of the address
// file as bearer token. It answers all systems.
func (s *Server) postSystems(c *call) (reply, error) {
	var body struct {
		Systems []string `json:"systems"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return reply{}, fail(400, `want {"systems":["name"]}`)
	}
	if err := s.AddSystems(body.Systems...); err != nil {
		return reply{}, fail(400, "%s", err)
	}
	body.Systems = s.site.systems()
	return jsonReply(200, body), nil
}

// faultsBody is the fault switches that are on, and what they have done.
type faultsBody struct {
	Seed   uint64       `json:"seed"`
	Faults []FaultState `json:"faults"`
}

// getFaults tells the fault switches: GET /sandbox/faults, like postSystems.
func (s *Server) getFaults(*call) (reply, error) {
	var out faultsBody
	out.Seed, out.Faults = s.Faults()
	return jsonReply(200, out), nil
}

// putFaults switches on these faults and no others: PUT /sandbox/faults with
// {"faults":["drop-submit=0.5"],"seed":7}. Without a seed it takes a new one. It
// answers like getFaults.
func (s *Server) putFaults(c *call) (reply, error) {
	var body struct {
		Faults []string `json:"faults"`
		Seed   uint64   `json:"seed"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		return reply{}, fail(400, `want {"faults":["KIND=VALUE,KEY=VALUE"]}`)
	}
	if err := s.SetFaults(body.Seed, body.Faults...); err != nil {
		return reply{}, fail(400, "%s", err)
	}
	return s.getFaults(c)
}

// deleteFaults switches all faults off.
func (s *Server) deleteFaults(*call) (reply, error) {
	return reply{status: 204}, s.SetFaults(0)
}

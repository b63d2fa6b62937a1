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

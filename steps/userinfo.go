package steps

import (
	"context"

	"github.com/fcflow/fcflow/workflow"
)

type userinfoIn struct{ onSystem }

type userinfoOut struct {
	User           string   `json:"user" doc:"Name of the user."`
	UID            string   `json:"uid" doc:"Its number."`
	Group          string   `json:"group" doc:"Primary group."`
	Groups         []string `json:"groups" doc:"All groups."`
	Accounts       []string `json:"accounts" doc:"What jobs can be charged to; empty if the service does not tell."`
	DefaultAccount string   `json:"default_account" doc:"The account of jobs that name none; empty if the service does not tell."`
}

func userinfo() stepType {
	return define[userinfoIn, userinfoOut](workflow.StepSpec{
		Name: "userinfo", Group: groupStatus,
		Summary:    "Tells who you are on a system",
		Doc:        "User, groups and accounts, as the login node and the scheduler know them.",
		Remote:     true,
		Idempotent: true,
		Causes:     operationCauses,
		Example: `- id: me
  uses: userinfo
`,
	}, operation(readUser))
}

func readUser(ctx context.Context, c *call, _ userinfoIn) (userinfoOut, error) {
	info, err := c.client().Status.UserInfo(ctx, c.system())
	if err != nil {
		return userinfoOut{}, err
	}
	out := userinfoOut{User: info.User.Name, UID: info.User.ID, Group: info.Group.Name, Groups: []string{}, Accounts: []string{}}
	for _, g := range info.Groups {
		out.Groups = append(out.Groups, g.Name)
	}
	for _, a := range info.Accounts {
		out.Accounts = append(out.Accounts, a.Name)
		if a.Default {
			out.DefaultAccount = a.Name
		}
	}
	return out, nil
}

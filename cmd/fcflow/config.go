package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fcflow/fcflow/internal/console"
	"github.com/fcflow/fcflow/internal/settings"
)

func newConfigCommand(a *app) *cobra.Command {
	return newGroupCommand("config", "Look at the settings",
		`Settings come from flags, the environment and the profiles of
~/.config/fcflow/config.yaml, in this order.`,
		"  fcflow config show --profile alps", newConfigShowCommand(a))
}

func newConfigShowCommand(a *app) *cobra.Command {
	o := newOutput()
	c := &cobra.Command{
		Use: "show", Short: "Show every setting and where its value comes from",
		Long: `Lists the settings that a command started here and now would use, each with the
flag, environment variable or line of the configuration file it comes from.
Secrets are not shown, only whether they are set. Wrong values are listed, too,
and then said to be wrong.`,
		Example: "  fcflow config show\n  fcflow config show --profile alps --output json",
	}
	o.add(c)
	return a.command(c, func(*cobra.Command, []string) error { return runConfigShow(a, o.format()) })
}

// shownConfig is a contract that only grows.
type shownConfig struct {
	File     string         `json:"file"`
	Exists   bool           `json:"exists"`
	Profile  string         `json:"profile,omitempty"`
	Profiles []string       `json:"profiles"` // of the file
	Settings []shownSetting `json:"settings"`
}

type shownSetting struct {
	Key    string `json:"key"`
	Set    bool   `json:"set"` // it has a value, be it a default
	Value  string `json:"value,omitempty"`
	Source string `json:"source"`
	Secret bool   `json:"secret"` // the value is not shown
	Env    string `json:"environment,omitempty"`
	Flag   string `json:"flag,omitempty"`
	Kind   string `json:"kind"`
	Help   string `json:"help"`
}

func runConfigShow(a *app, f format) error {
	s, wrong := settings.Load(a.sources())
	if s == nil {
		return wrong
	}
	a.streams.Secrets.Add(s.Text("client_secret"))
	shown := shownConfig{
		File: s.File(), Exists: exists(s.File()), Profile: s.Profile(), Profiles: append([]string{}, s.Profiles()...),
	}
	for _, v := range s.All() {
		shown.Settings = append(shown.Settings, shownSetting{
			Key: v.Key, Set: v.Text != "", Value: v.Shown(), Source: v.Source, Secret: v.Secret || v.Command,
			Env: v.Env, Flag: v.Flag, Kind: string(v.Kind), Help: v.Help,
		})
	}
	switch f {
	case formatJSON:
		if err := a.streams.Out.JSON(shown); err != nil {
			return err
		}
	case formatName:
		for _, v := range shown.Settings {
			a.streams.Out.Printf("%s\n", v.Key)
		}
	default:
		a.printConfig(&shown)
	}
	return wrong
}

func (a *app) printConfig(shown *shownConfig) {
	out := a.streams.Out
	file := shown.File
	if !shown.Exists {
		file += " (does not exist)"
	}
	out.Println(console.Text{S: "file      ", Style: console.Bold}, console.Say(file))
	if len(shown.Profiles) > 0 {
		out.Println(console.Text{S: "profiles  ", Style: console.Bold}, console.Say(strings.Join(shown.Profiles, ", ")))
	}
	out.Println()
	var rows [][]console.Text
	for _, v := range shown.Settings {
		rows = append(rows, []console.Text{console.Say(v.Key), settingValue(v), {S: settingSource(v), Style: console.Dim}})
	}
	out.Table([]string{"SETTING", "VALUE", "FROM"}, rows)
}

func settingValue(v shownSetting) console.Text {
	if !v.Set {
		return console.Text{S: "–", Style: console.Dim}
	}
	return console.Say(v.Value)
}

// settingSource says where a value came from, or how to give one.
func settingSource(v shownSetting) string {
	switch {
	case v.Set:
		return v.Source
	case v.Env != "":
		return "not set; environment " + v.Env
	}
	return "not set"
}

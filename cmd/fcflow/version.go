package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

type versionOptions struct{ output output }

func newVersionCommand(a *app) *cobra.Command {
	o := versionOptions{output: newOutput()}
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  fcflow version --output json",
	}
	o.output.add(c)
	return a.command(c, func(*cobra.Command, []string) error { return runVersion(a, o) })
}

// versionInfo is a contract that only grows.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the source differed from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func runVersion(a *app, o versionOptions) error {
	v := versionInfo{Version: releaseName(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	switch o.output.format() {
	case formatJSON:
		return a.streams.Out.JSON(v)
	case formatName:
		a.streams.Out.Printf("%s\n", v.Version)
	default:
		a.streams.Out.Printf("fcflow %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	}
	return nil
}

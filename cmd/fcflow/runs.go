package main

import "github.com/spf13/cobra"

func newRunsCommand(a *app) *cobra.Command {
	return newGroupCommand("runs", "Look at runs, and delete them",
		`Lists and shows runs, also those that are driven from other terminals now.

RUN is the id of a run, its beginning or end if no other run has the same
(people see the last six characters), "last" for the newest run, or the name of a
workflow for its newest run.`,
		`  fcflow runs list
  fcflow runs show last
  fcflow runs results last
  fcflow runs why last simulate`,
		newRunsListCommand(a), newRunsShowCommand(a), newRunsWatchCommand(a), newRunsResultsCommand(a), newRunsDiffCommand(a),
		newRunsWhyCommand(a), newRunsLogsCommand(a), newRunsEventsCommand(a), newRunsExportCommand(a), newRunsRmCommand(a), newRunsPruneCommand(a))
}

package simulation_test

import (
	"time"

	"github.com/fcflow/fcflow/internal/simulation"
)

// Where rows are hidden or disguised.
const (
	list     = "GET jobs"
	anywhere = ""
)

// history is what is replayed. What the naive executor loses need not be what the
// users of the program in question lost; what happened to the program is the same.
var history = []bug{
	// Submissions whose answer is no answer.
	{
		name:     "eth-cscs/firecrest-v2#76",
		happened: "the submission runs into the time limit of SSH commands: the API answers an error, sbatch completes",
		lost:     "the same job twice, in one directory",
		holds:    "an answer 408 says nothing; the job is found and followed",
		story:    submission(simulation.Mishap{Though: timedOut()}),
		tasks:    alone(5 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "swiss-ai/model-launch#211",
		happened: "in one outage all of eleven submissions are answered 408, and all are accepted",
		lost:     "the node hours of eleven jobs",
		holds:    "each of the eleven is found by its token",
		story:    submission(simulation.Mishap{Though: timedOut()}),
		tasks:    several(11, 10*time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "aiidateam/aiida-core#3404",
		happened: "a submission that seemed to fail was accepted; the second one crashes in the directory of the first, which is then taken to be over",
		lost:     "results of a job that still runs",
		holds:    "a broken connection says nothing; b starts after the only job of a",
		story:    submission(simulation.Mishap{Cut: true}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "nextflow-io/nextflow#970",
		happened: "sbatch says that its socket timed out; the job was submitted, and completes",
		lost:     "the job runs again, or its success counts as a failure",
		holds:    "these words of sbatch say nothing; the job is found and followed",
		story:    submission(simulation.Mishap{Though: socketTimedOut()}),
		tasks:    chain(2 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "nextflow-io/nextflow#981",
		happened: "a submission that counts as failed was accepted: the job turns up a little later",
		lost:     "one task that both completed and failed",
		holds:    "words that nobody has seen before say nothing",
		story: submission(simulation.Mishap{
			Though: sbatch("Batch job submission failed: Transport endpoint is not connected"), Late: 20 * time.Second,
		}),
		tasks:  alone(2 * time.Minute),
		breaks: simulation.Once,
	},
	{
		name:     "DataBiosphere/toil#5459",
		happened: "sbatch exits with 1, and the job is in; retried, another one runs beside it (here the retries end like that too)",
		lost:     "what jobs write over each other",
		holds:    "there is no second request while the first may have made a job",
		story:    submission(simulation.Mishap{Though: socketTimedOut(), Times: 3}),
		tasks:    alone(10 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "rwth-i6/sisyphus#156",
		happened: "sbatch says that Slurm cannot accept the job for the moment, and goes on trying; the job comes two minutes later",
		lost:     "two jobs of the same name, of which one is watched",
		holds:    "a job that is not there yet is waited for",
		story: submission(simulation.Mishap{
			Though: sbatch("Slurm temporarily unable to accept job, sleeping and retrying"), Late: 120 * time.Second,
		}),
		tasks:  alone(2 * time.Minute),
		breaks: simulation.Once,
	},
	{
		name:     "rwth-i6/sisyphus#281",
		happened: "the cluster has hiccups: sbatch times out again and again, and every try becomes a job in the end",
		lost:     "several jobs for each task",
		holds:    "tries that all come late start one payload for each token",
		story:    submission(simulation.Mishap{Though: timedOut(), Late: 90 * time.Second, Times: 2}),
		tasks:    several(3, 5*time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "cylc/cylc-flow#6735",
		happened: "qsub stalls beyond the time-out of the program and submits all the same; the job appears five minutes later",
		lost:     "a job that counts as never submitted, and another one for it",
		holds:    "the verdict that there is no job was wrong, and the second job runs nothing",
		story:    submission(simulation.Mishap{Though: timedOut(), Late: 295 * time.Second}),
		tasks:    alone(5 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "hashicorp/nomad#26690",
		happened: "a request to run something comes twice at the same moment; the token that should tell is checked too early, and both run",
		lost:     "the promise that the token was for",
		holds:    "the claim decides, at the moment of the start",
		story:    submission(simulation.Mishap{Again: 5 * time.Millisecond}),
		tasks:    alone(5 * time.Minute),
		breaks:   simulation.Once,
	},

	// Programs that die.
	{
		name:     "aiidateam/aiida-core#3183",
		happened: "the daemon is stopped while it submits, and submits again when it is back",
		lost:     "the same job twice",
		holds:    "that a request was about to leave is on record before it leaves",
		story:    submission(simulation.Mishap{Kill: true}),
		tasks:    alone(10 * time.Minute),
		breaks:   simulation.Once,
	},
	{
		name:     "nextflow-io/nextflow#1448",
		happened: "the program is killed, its jobs run on and complete; resumed, it submits them again",
		lost:     "the time of what had completed",
		holds:    "a job that ended while nobody looked is found by its claim",
		story: simulation.Story{
			Mishaps: []simulation.Mishap{{On: "POST job", Unit: "a", Times: 1, Kill: true}}, Down: time.Hour,
		},
		tasks:  chain(2 * time.Minute),
		breaks: simulation.Once,
	},
	{
		name:     "nextflow-io/nextflow#5595",
		happened: "in an outage the program cannot submit, and dies; resumed, it starts again what had completed, and what depends on it beside it",
		lost:     "truncated results that count as good ones",
		holds:    "a is not started again, b starts after it",
		story: simulation.Story{
			Mishaps: []simulation.Mishap{
				{On: "POST job", Unit: "a", Times: 1, Kill: true},
				{On: "POST job", Unit: "b", Times: 3, Instead: &simulation.Reply{Status: 503}},
			},
			Down: 20 * time.Minute,
		},
		tasks:  chain(3 * time.Minute),
		breaks: simulation.Once,
	},
	{
		name:     "lanl/BEE#1229",
		happened: "the program is stopped while a job runs; when it is back it does not know the state of the job any more",
		lost:     "the real end of the job, and with it whether to go on",
		holds:    "it is asked for as far back as the job is old: it had failed",
		story:    simulation.Story{Down: 26 * time.Hour},
		kill:     3 * time.Minute,
		tasks:    failing(10*time.Minute, "3"),
		breaks:   simulation.Invented,
		ends:     map[string]string{"a": "exit(3)", "b": "skipped"},
	},

	// Jobs that are not shown.
	{
		name:     "eth-cscs/firecrest-v2#177",
		happened: "a job is missing from the list of jobs for all its life; asked for by its id it is there",
		lost:     "a job that runs counts as over",
		holds:    "that a list does not show a job is no end",
		story:    shown(simulation.Disguise{In: list, Hidden: true}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Dependency,
	},
	{
		name:     "eth-cscs/pyfirecrest#199",
		happened: "a job that was submitted a moment ago is answered with \"not found\"",
		lost:     "an error for a job that exists",
		holds:    "accounting takes its time; the job is waited for",
		story:    shown(simulation.Disguise{In: anywhere, For: 100 * time.Second, Hidden: true}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Dependency,
	},
	{
		name:     "aiidateam/aiida-core#4326",
		happened: "now and then the job list leaves out a job that runs, and its files are fetched",
		lost:     "half a result that counts as a whole one",
		holds:    "that a list does not show a job is no end",
		story:    shown(simulation.Disguise{In: list, While: "RUNNING", From: 40 * time.Second, For: time.Minute, Hidden: true}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Dependency,
	},
	{
		name:     "aiidateam/aiida-core#1505",
		happened: "at midnight jobs that run are not shown for a while",
		lost:     "all that runs at midnight",
		holds:    "no job that is not found is over",
		story:    shown(simulation.Disguise{In: anywhere, During: simulation.Span{From: 2 * time.Minute, For: 5 * time.Minute}, Hidden: true}),
		tasks: []simulation.Task{
			task("a", 10*time.Minute), task("b", 12*time.Minute), task("c", time.Minute, "a", "b"),
		},
		breaks: simulation.Dependency,
	},
	{
		name:     "cylc/cylc-flow#3436",
		happened: "the command that lists the queue fails, which is read as an empty queue",
		lost:     "jobs in the queue that count as never submitted",
		holds:    "an empty list is no end",
		story: simulation.Story{Mishaps: []simulation.Mishap{{
			On: "GET jobs", While: simulation.Span{From: 10 * time.Second, For: 10 * time.Minute},
			Instead: &simulation.Reply{Status: 200, Body: map[string]any{"jobs": []any{}}},
		}}},
		tasks:  chain(5 * time.Minute),
		breaks: simulation.Dependency,
	},
	{
		name:     "jdblischak/smk-simple-slurm#9",
		happened: "for a job that waits in the queue the accounting gives an empty answer once",
		lost:     "the job counts as ended before it began",
		holds:    "one empty answer decides nothing",
		story:    shown(simulation.Disguise{In: list, While: "PENDING", Times: 1, Hidden: true}),
		tasks:    chain(2 * time.Minute),
		breaks:   simulation.Dependency,
	},
	{
		name:     "tudo-r/BatchJobs#100",
		happened: "jobs vanish from the list when they start, and are there again when they have ended",
		lost:     "track of what runs",
		holds:    "that a list does not show a job is no end",
		story:    shown(simulation.Disguise{In: list, While: "RUNNING", Hidden: true}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Dependency,
	},
	{
		name:     "snakemake/snakemake#1227",
		happened: "accounting tells of today by default; a job that ended before midnight is not shown after it",
		lost:     "the end of the job",
		holds:    "it is asked for by its id too: it had failed",
		story:    shown(simulation.Disguise{In: list, While: "ended", Hidden: true}),
		tasks:    failing(5*time.Minute, "3"),
		breaks:   simulation.Invented,
		ends:     map[string]string{"a": "exit(3)", "b": "skipped"},
	},
	{
		name:     "Parsl/parsl#1588",
		happened: "a job leaves the scheduler's memory between two polls, and is never heard of again",
		lost:     "the program waits for ever, or believes what it likes",
		holds:    "the exit marker that the job left tells its end",
		story:    shown(simulation.Disguise{In: anywhere, While: "ended", Hidden: true}),
		tasks:    failing(5*time.Minute, "3"),
		breaks:   simulation.Invented,
		ends:     map[string]string{"a": "exit(3)", "b": "skipped"},
	},
	{
		name:     "Parsl/parsl#2207",
		happened: "jobs that disappear from the queue are reported as completed, those among them that reached their wall time",
		lost:     "a failure that counts as a success",
		holds:    "the end is what accounting says of the job: walltime",
		story:    shown(simulation.Disguise{In: list, While: "ended", Hidden: true}),
		tasks:    failing(5*time.Minute, "walltime"),
		breaks:   simulation.Invented,
		ends:     map[string]string{"a": "walltime", "b": "skipped"},
	},
	{
		name:     "cylc/cylc-flow#4431",
		happened: "a short job starts and ends between the look at its status and the look at the queue",
		lost:     "a wrong end for a job that ran",
		holds:    "the witness is read again after the queue has said that the job is gone",
		story:    shown(simulation.Disguise{In: anywhere, While: "ended", For: 2 * time.Minute, Hidden: true}),
		tasks:    failing(2*time.Second, "3"),
		breaks:   simulation.Invented,
		ends:     map[string]string{"a": "exit(3)", "b": "skipped"},
	},

	// States that a program does not expect.
	{
		name:     "TUM-DAML/seml#20",
		happened: "jobs whose nodes are being set up are CONFIGURING, which counts as killed",
		lost:     "jobs that are given up while they run",
		holds:    "a state that is not known to be an end is none",
		story:    shown(simulation.Disguise{In: anywhere, While: "RUNNING", For: 2 * time.Minute, State: "CONFIGURING"}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Lost,
	},
	{
		name:     "Parsl/parsl#2255",
		happened: "the words for states are other ones than the program's table has, so nothing seems to run, and more is submitted",
		lost:     "the node hours of jobs that nobody needs",
		holds:    "a word that is not known to be an end is none",
		story:    shown(simulation.Disguise{In: anywhere, While: "RUNNING", State: "LAUNCHING"}),
		tasks:    retried(5 * time.Minute),
		breaks:   simulation.OneAttempt,
	},
	{
		name:     "Snakemake-Profiles/slurm#71",
		happened: "jobs are suspended for others of higher priority, which counts as failed",
		lost:     "the job counts as failed and is run again, beside the one that goes on",
		holds:    "a suspended job goes on",
		story:    shown(simulation.Disguise{In: anywhere, While: "RUNNING", From: time.Minute, For: 2 * time.Minute, State: "SUSPENDED"}),
		tasks:    retried(10 * time.Minute),
		breaks:   simulation.OneAttempt,
	},
	{
		name:     "snakemake/snakemake-executor-plugin-slurm#109",
		happened: "preempted jobs are run again by the scheduler, under their id, and by the program, under another one",
		lost:     "the same work twice at the same time",
		holds:    "the scheduler is asked not to run it again, and so only fcflow does",
		story:    simulation.Story{Twists: []simulation.Twist{{Unit: "a", After: time.Minute, State: "PREEMPTED"}}},
		tasks:    retried(5 * time.Minute),
		breaks:   simulation.OneAttempt,
	},

	// Ids that are used again.
	{
		name:     "facebookincubator/submitit#1660",
		happened: "ids begin anew, and until accounting knows the new job it shows the old one of that id: completed",
		lost:     "a result that does not exist",
		holds:    "a row counts only if its name carries the token",
		story:    shown(simulation.Disguise{In: anywhere, For: time.Minute, Name: "of-another-year", State: "COMPLETED"}),
		tasks:    chain(5 * time.Minute),
		breaks:   simulation.Dependency,
	},
}

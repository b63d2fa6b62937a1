// Package protocoltest searches every state that the submission protocol can
// get into: two attempts of one unit, an engine that is killed at any moment, a
// network that loses, delays and repeats, a list of jobs that hides what it
// likes. What is promised is checked in each state, and a mutant of the protocol,
// one rule left out, must be found with the shortest way into harm.
//
// It is a model and imports nothing of fcflow. rules.go holds the rules and reads
// like the protocol; world.go is what they are up against. The names there and
// those of the code:
//
//	A, B               tokens of two attempts of one unit (workflow.Token)
//	record             the folded history of the run (workflow.Submission); each
//	                   change of it is one durable event
//	sent[k] = recorded submission.sending k
//	sent[k] = …        submission.outcome k: notSent, refused (the class rejected),
//	                   ambiguous, accepted
//	owner              submission.owner
//	end                attempt.finished
//	claim              the link named like the token in the part directory, made by
//	                   the job script (steps/jobscript) or planted by fcflow
//	marker             the link T.x that says x-0; another exit code is a job that
//	                   failed
//	fenced             a job that ended with exit code 79
//	reopened           run.reopened: the process is another one than the one that
//	                   sent
//
// Three things are coarser than the code, and only add behaviour: any moment is
// late enough for the verdict that a job is absent, any job may be seen in the
// list at any time or never, and an attempt may be given up for any reason. A job
// that starts again under its own id (requeue) is not in the model.
package protocoltest

package firecresttest

// point is one of the things a server must do so that clients made for FirecREST
// work with it. Its number stays with it.
type point struct {
	number int
	text   string
	shown  []string // by these subtests, group/name
}

// points are all of them.
var points = []point{
	// Transport and tokens.
	{1, "answers carry release, time and ids", []string{"transport/every answer carries release and time and ids"}},
	{2, "the release is told whatever the token", []string{"transport/the release is told to callers without a valid token too", "official client/server_version needs no valid token"}},
	{3, "a request id that is no UUID gets an empty 400", []string{"transport/a request id that is no UUID gets an empty 400"}},
	{4, "a request id is echoed as it came", []string{"transport/a request id is echoed"}},
	{5, "without Authorization nobody is known", []string{"tokens/without a token nobody is known"}},
	{6, "nonsense is no token", []string{"tokens/nonsense is no token"}},
	{7, "an expired token is refused", []string{"tokens/a token that is expired is refused"}},
	{8, "a token about to expire is refused", []string{"tokens/a token that is about to expire is refused"}},
	{9, "a token without a user is a bad request", []string{"tokens/a token that is without a user is refused"}},
	{10, "errors have five members", []string{"transport/every error has the same five members"}},
	{11, "an unknown route is 404, a wrong method 405", []string{"transport/an unknown path is not found", "transport/a wrong method is refused"}},
	{12, "paths are the same in capitals", []string{"transport/paths are the same in capitals"}},
	{13, "a slash too many or too few redirects", []string{"transport/a slash too many or too few redirects"}},
	{14, "a prefix is optional", []string{"transport/paths work with and without prefix"}},
	{15, "the API describes itself to everybody", []string{"transport/the description is open to all and lists the operations"}},
	{16, "the token endpoint takes credentials in form and header", []string{"tokens/the token endpoint takes credentials in form and header", "tokens/the token endpoint says how long and what kind"}},
	{17, "the token endpoint refuses wrong credentials", []string{"tokens/the token endpoint refuses wrong credentials"}},
	{18, "the official client outlives a rate limit", []string{"official client/who is turned away for a second comes back"}},

	// Status.
	{19, "systems are described in full", []string{"status/systems have every member", "status/systems keep the order of the site", "status/systems tell their file systems and scheduler", "status/systems tell their limits"}},
	{20, "the health of services has a vocabulary", []string{"status/systems tell the health of their services"}},
	{21, "secrets are ten asterisks", []string{"status/secrets of systems are masked"}},
	{22, "liveness is open to all", []string{"nodes/liveness is open to all"}},
	{23, "nodes have states of the vocabulary", []string{"nodes/nodes have processors and states"}},
	{24, "partitions are listed, hidden ones when asked for", []string{"nodes/partitions are listed, hidden ones when asked for"}},
	{25, "reservations have times", []string{"nodes/reservations have times"}},
	{26, "the user has ids that are text", []string{"status/the user has an id, groups and accounts"}},
	{27, "an unknown system is not found", []string{"nodes/an unknown system has no nodes", "paths/every operation knows the systems"}},
	{28, "status does not mind an unhealthy scheduler", []string{"health/the status of an unhealthy system is told"}},

	// File operations.
	{29, "a listing has names and sizes as text", []string{"listings/a listing describes files, directories and links", "official client/listings"}},
	{30, "a recursive listing names what is below", []string{"listings/a recursive listing names what is below"}},
	{31, "a listing of a file is that file", []string{"listings/a listing of a file is that file with its path"}},
	{32, "a listing of an empty directory is empty", []string{"listings/a listing of an empty directory is empty"}},
	{33, "what is missing cannot be listed", []string{"listings/what is missing cannot be listed"}},
	{34, "what is closed cannot be listed", []string{"permissions/what permissions deny is forbidden"}},
	{35, "paths are absolute and in a file system of the system", []string{"paths/every file operation looks at its path", "paths/a path must be absolute", "transfers/every transfer knows the systems and looks at its path"}},
	{36, "a path must be given", []string{"paths/a path must be given"}},
	{37, "a flag that is no boolean is refused by name", []string{"listings/flags take many words but not all"}},
	{38, "head tells what it shows", []string{"reading/head returns the beginning"}},
	{39, "tail tells what it shows", []string{"reading/tail returns the end"}},
	{40, "lines and bytes exclude each other", []string{"reading/lines and bytes exclude each other"}},
	{41, "view shows a file or a window", []string{"reading/view returns a file or a window of it"}},
	{42, "view has limits", []string{"reading/view refuses windows that make no sense", "reading/view has a limit"}},
	{43, "what is missing cannot be viewed", []string{"reading/what is missing cannot be read"}},
	{44, "a checksum is SHA-256", []string{"reading/checksum is SHA-256"}},
	{45, "file tells the type, also of nothing", []string{"reading/file tells what something is"}},
	{46, "stat has ten numbers", []string{"listings/stat describes a file and a directory", "listings/stat describes a link or what it points to", "listings/stat does not find what is missing", "listings/stat has ten numbers"}},
	{47, "chmod changes permissions and shows them", []string{"permissions/chmod changes permissions and shows them"}},
	{48, "chown is for owners, and wants text", []string{"permissions/chown gives to own groups only", "permissions/chown wants text"}},
	{49, "mkdir makes a directory, once", []string{"changes/mkdir makes a directory, once", "changes/mkdir makes parents, as often as asked"}},
	{50, "symlink makes a link, once", []string{"changes/symlink makes a link, once"}},
	{51, "rm removes, once", []string{"changes/rm removes a file, once"}},
	{52, "compress packs", []string{"archives/both spellings of the members of a request are understood", "archives/members of an archive are below the name of the source", "archives/an unknown compression is refused"}},
	{53, "extract unpacks into a directory that is there", []string{"archives/extracting overwrites", "archives/extracting needs an archive and a directory"}},
	{54, "upload takes one file of limited size", []string{"bytes/an upload overwrites", "bytes/an upload has a limit", "bytes/an upload needs a part named file", "bytes/an upload needs a directory"}},
	{55, "download gives exact bytes of limited size", []string{"bytes/any bytes go up and come down", "bytes/a download has a limit", "bytes/a download comes whole and as bytes", "reading/what is missing cannot be read"}},
	{56, "what takes too long becomes a job", []string{"official client/what takes too long becomes a job"}},
	{57, "an unhealthy file system is closed, others are open", []string{"health/an unhealthy file system is closed, others are open"}},

	// Transfers.
	{58, "mv is a job that says in its log that it moved", []string{"transfers/mv moves", "official client/mv waits for the log"}},
	{59, "cp, compress, extract and rm are such jobs too", []string{"transfers/cp copies", "transfers/compress packs and extract unpacks", "transfers/rm removes"}},
	{60, "a transfer that fails looks completed, and its log tells", []string{"transfers/what fails looks completed and tells in its logs", "official client/a failed move is told by its log"}},
	{61, "a transfer is cancelled like a job", []string{"official client/a move that takes too long is cancelled"}},
	{62, "an account is wanted where directives name it", []string{"transfers/an account is wanted where directives name it"}},
	{63, "an upload in the official spelling gets a URL for each part", []string{"staging/an upload gets a URL for each part"}},
	{64, "an upload may be spelled otherwise", []string{"staging/an upload may be spelled otherwise"}},
	{65, "directives are required and name the method of the system", []string{"staging/directives are required and name the method of the system"}},
	{66, "parts are put in any order and answered with a tag", []string{"staging/parts are put in any order and answered with a tag"}},
	{67, "a list of parts completes an object", []string{"staging/a list of parts completes an object"}},
	{68, "the job of an upload fetches the object and replaces the target", []string{"staging/the job of an upload fetches the object and replaces the target"}},
	{69, "the job of an upload looks for the object as often as asked", []string{"staging/the job of an upload waits for the object"}},
	{70, "a download is staged and read whole or in ranges", []string{"staging/a download is staged and read whole or in ranges", "staging/what is missing is not staged"}},
	{71, "a file of many parts makes the round trip of the official client", []string{"official client/a file of many parts makes the round trip"}},
	{72, "an expired URL is refused", []string{"staging/an expired URL is refused"}},
	{73, "a streamer is told where to connect, and closes to strangers", []string{"peers/a stream goes up", "peers/a stream that was damaged leaves no file", "peers/a stream comes down", "peers/a stream is for who knows the secret", "peers/a stream replaces nothing and sends nothing that is missing"}},
	{74, "a wormhole needs a code for one way and gives one for the other", []string{"peers/a wormhole needs a code for one way and gives one for the other"}},

	// Jobs.
	{75, "a script or its path is submitted from a directory", []string{"submitting/an inline script is submitted", "submitting/a script on the system is submitted", "submitting/the working directory has three spellings and is required"}},
	{76, "what is no script is rejected, and so is what limits forbid", []string{"submitting/what is no script is rejected", "submitting/limits forbid"}},
	{77, "variables reach the job", []string{"submitting/variables reach the job", "submitting/an inline script is submitted"}},
	{78, "a job is found by its id", []string{"jobs/a job is described by its id while it runs and after", "jobs/a job has every member"}},
	{79, "a job goes from pending to its end", []string{"jobs/a job goes from pending to its end", "jobs/a job that fails tells its exit code"}},
	{80, "a job may be unknown at first, and is when it never was", []string{"jobs/an unknown job is not found", "jobs/a new job may be unknown for a moment"}},
	{81, "ids of parts of jobs are refused", []string{"jobs/ids of parts of jobs are refused"}},
	{82, "lists are filtered", []string{"jobs/own jobs are listed", "jobs/jobs of others are listed when asked for, and stay theirs", "jobs/the list is filtered by name", "jobs/the list goes back as far as asked", "official client/lists of jobs"}},
	{83, "a running job is cancelled, once", []string{"jobs/a running job is cancelled, once", "jobs/an unknown job cannot be cancelled"}},
	{84, "metadata has script and files", []string{"jobs/metadata has the script and the files", "jobs/an unknown job is not found"}},
	{85, "a command is attached to a job", []string{"jobs/a command is attached to a job"}},
	{86, "an unhealthy scheduler takes no jobs", []string{"health/an unhealthy scheduler takes no jobs"}},
	{87, "an array is found as its tasks", []string{"jobs/an array is found as its tasks"}},
	{88, "the command line of the official client works", []string{"official client/the command line, from end to end"}},
}

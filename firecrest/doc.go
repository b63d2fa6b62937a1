// Package firecrest is a client for FirecREST v2, the REST API in front of
// supercomputers: status of systems, files, batch jobs, transfers.
//
// A [Client] speaks to one FirecREST service as one identity. Operations hang
// off four services, one method per operation of the API, all 35 of them:
//
//	client, err := firecrest.New("https://api.example.org/hpc/firecrest/v2",
//		firecrest.WithTokenSource(firecrest.ClientCredentials{
//			TokenURL: "https://auth.example.org/token", ClientID: "me", ClientSecret: secret}))
//	entries, err := client.Filesystem.List(ctx, "alps", "/scratch/me", nil)
//	id, err := client.Compute.Submit(ctx, "alps", firecrest.JobSpec{ … })
//
// The example below is a whole program that submits a job and fetches its
// result.
//
// Every method takes a context and is safe for concurrent use. What all of
// them have in common:
//
//   - tokens are refreshed well before they expire, by one request however
//     many goroutines wait, and once more when the server answers 401;
//   - at most four requests are in flight per client, of which the bytes of
//     files take at most three; clients of one host can share a [Limiter];
//   - a request is repeated only if repeating it cannot do harm: reads and
//     writes that end the same however often they run, after 408, 424, 429,
//     502, 503, 504 and broken connections; writes that must not run twice,
//     only if the server says that it did not run them. A submission is never
//     repeated, nor is the submission of a transfer once it may have arrived;
//     see [SubmitError] for what is known after one went wrong;
//   - redirects are not followed, the token goes to the base URL and nowhere
//     else, http:// is accepted for loopback hosts only;
//   - an answer is believed only if FirecREST wrote it: a gateway in front may
//     answer anything at any time, and its 404 says nothing about a file. Only
//     the id of a submitted job is taken from whoever gives it;
//   - a request that failed is an [*Error]; [ErrNotFound] and its siblings match
//     with errors.Is. A path that cannot be sent is a [*PathError];
//   - tokens and secrets appear in no error, no printed value and no
//     [RequestInfo].
//
// The client knows no version. It decodes what every release since 2.1.3
// sends, and takes limits from what [StatusService.Systems] says.
//
// The package imports nothing of fcflow and can be used on its own. It moves no
// bytes of files larger than the server's direct limits, only arranges for that;
// package datatransfer below it does the rest.
package firecrest

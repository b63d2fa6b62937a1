package firecrest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// What is repeated, by what went wrong and by what repeating would do.
func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	const sshDown = "The ssh service for the requested system (alps) is unhealthy."
	tests := []struct {
		name  string
		reply func() (*http.Response, error)
		// number of times sent: a read, mkdir without parents, submit
		read, write, submit int
	}{
		{"timeout", says(408, "Command execution timeout limit exceeded."), 4, 1, 1},
		{"timeout of a fed command", says(500, "('Channel not open for sending',)"), 4, 1, 1},
		{"timeout of 2.1", says(500, "Remote process faild with exit status:124 and error message:"), 4, 1, 1},
		{"login timeout", says(408, "SSH connection timeout limit exceeded."), 4, 4, 1},
		{"pool full", says(424, "SSH connection pool capacity exceeded"), 4, 4, 1},
		{"ssh lost", says(424, "SSH connection Reset."), 4, 1, 1},
		{"unhealthy", says(503, sshDown), 4, 4, 1},
		{"gateway 503", func() (*http.Response, error) { return gateway(answer(503, sshDown)), nil }, 4, 1, 1},
		{"bad gateway", func() (*http.Response, error) { return gateway(answer(502, "<html>")), nil }, 4, 1, 1},
		{"gateway timeout", func() (*http.Response, error) { return gateway(answer(504, "")), nil }, 4, 1, 1},
		{"too many", func() (*http.Response, error) { return gateway(answer(429, "")), nil }, 4, 4, 1},
		{"no connection", func() (*http.Response, error) { return nil, dialError{syscall.ECONNREFUSED} }, 4, 4, 1},
		{"connection lost", func() (*http.Response, error) { return nil, syscall.ECONNRESET }, 4, 1, 1},
		{"shell says no", says(500, "Remote process failed with exit status:1 and error message:head: error reading '/d': Is a directory"), 1, 1, 1},
		{"with a cause", func() (*http.Response, error) {
			return answer(500, `{"errorType":"error","message":"x","causedBy":["SSH lost"]}`), nil
		}, 4, 1, 1},
		{"validation", func() (*http.Response, error) { return answer(400, `{"errorType":"validation","message":"x"}`), nil }, 1, 1, 1},
		{"forbidden", says(403, "Permission denied"), 1, 1, 1},
		{"missing", says(404, "No such file or directory"), 1, 1, 1},
		{"too large", says(413, "Command output exceeded buffer limit."), 1, 1, 1},
		{"not implemented", says(501, "no"), 1, 1, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				client := memoryClient(t, func(*http.Request) (*http.Response, error) {
					sent++
					return test.reply()
				}, WithRetry(RetryPolicy{Base: 1}))
				ctx := t.Context()
				_, err := client.Filesystem.Stat(ctx, "alps", "/d", false)
				if err == nil || sent != test.read || asError(t, err).Attempts != sent {
					t.Errorf("read: sent %d times, want %d: %v", sent, test.read, err)
				}
				sent = 0
				_, err = client.Filesystem.Mkdir(ctx, "alps", "/d", false)
				if err == nil || sent != test.write {
					t.Errorf("mkdir: sent %d times, want %d: %v", sent, test.write, err)
				}
				sent = 0
				_, err = client.Filesystem.Mkdir(ctx, "alps", "/d", true)
				if err == nil || sent != test.read {
					t.Errorf("mkdir with parents: sent %d times, want %d: %v", sent, test.read, err)
				}
				sent = 0
				_, err = client.Compute.Submit(ctx, "alps", JobSpec{WorkingDirectory: "/d", Script: "#!"})
				if err == nil || sent != test.submit {
					t.Errorf("submit: sent %d times, want %d: %v", sent, test.submit, err)
				}
			})
		})
	}
}

func says(status int, message string) func() (*http.Response, error) {
	return func() (*http.Response, error) { return answer(status, errorBody(message)), nil }
}

// A listing is repeated if something went that it was to show, unless that may be a
// link that leads nowhere.
func TestListingOfWhatChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		options *ListOptions
		message string
		sent    int
		want    error
	}{
		{nil, "ls: cannot access '/d/x': No such file or directory", 4, ErrUnavailable},
		{&ListOptions{ShowHidden: true, Recursive: true}, "ls: cannot access '/d/x/y': No such file or directory", 4, ErrUnavailable},
		{&ListOptions{Dereference: true}, "ls: cannot access '/d/x': No such file or directory", 1, ErrNotFound},
		{nil, "ls: cannot access '/d': No such file or directory", 1, ErrNotFound},
	} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			client := memoryClient(t, func(*http.Request) (*http.Response, error) {
				sent++
				return says(404, test.message)()
			}, WithRetry(RetryPolicy{}))
			if _, err := client.Filesystem.List(t.Context(), "alps", "/d", test.options); !errors.Is(err, test.want) || sent != test.sent {
				t.Errorf("%+v: %v after %d requests, want %v after %d", test.options, err, sent, test.want, test.sent)
			}
		})
	}
}

func TestJobQueriesAreRepeatedOnEvery500(t *testing.T) {
	t.Parallel()
	sent := 0
	client := memoryClient(t, func(*http.Request) (*http.Response, error) {
		sent++
		return answer(500, errorBody("Error executing Slurm command.")), nil
	}, WithRetry(RetryPolicy{Base: 1}))
	if _, err := client.Compute.List(t.Context(), "alps", nil); err == nil || sent != 4 {
		t.Errorf("sent %d times: %v", sent, err)
	}
}

func TestPausesBetweenTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return answer(503, ""), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 6, Base: time.Second, MaxWait: 5 * time.Second}))
		client.Status.Systems(t.Context())
		for i, most := range []time.Duration{1, 2, 4, 5, 5} {
			most *= time.Second
			if d := at[i+1].Sub(at[i]); d > most || d < most/2 {
				t.Errorf("pause %d was %s, want between half of %s and all", i+1, d, most)
			}
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent == 1 {
				return withHeader(gateway(answer(429, "")), "Retry-After", "20"), nil
			}
			return answer(200, `{"systems":[]}`), nil
		})
		start := time.Now()
		done := make(chan struct{})
		go func() { // another request must wait at the gate, too
			defer close(done)
			time.Sleep(time.Second)
			if _, err := client.Status.Systems(t.Context()); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d < 20*time.Second {
				t.Errorf("the other request was sent after %s", d)
			}
		}()
		if _, err := client.Status.Systems(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 20*time.Second || d > 24*time.Second {
			t.Errorf("repeated after %s", d)
		}
		<-done
	})
}

// TestRefusalsWithoutRetryAfter: a gateway that only says "too many" is left
// alone for a second by everybody.
func TestRefusalsWithoutRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			if len(at) == 1 {
				return gateway(answer(429, "")), nil
			}
			return answer(200, `{"systems":[]}`), nil
		}, WithMaxInFlight(1))
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if _, err := client.Status.Systems(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if len(at) != 4 || at[1].Sub(at[0]) < time.Second {
			t.Errorf("requests at %v, want three of them a second after the first", at)
		}
	})
}

func TestLongRetryAfterIsTheCallersMatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := memoryClient(t, func(*http.Request) (*http.Response, error) {
			sent++
			return withHeader(gateway(answer(429, "")), "Retry-After", "1000000000"), nil
		})
		start := time.Now()
		_, err := client.Status.Systems(t.Context())
		if !errors.Is(err, ErrRateLimited) || asError(t, err).RetryAfter() != 15*time.Minute {
			t.Errorf("got %v", err)
		}
		// The gate is closed: the next request is not even sent, and says so.
		_, err = client.Compute.Submit(t.Context(), "alps", JobSpec{WorkingDirectory: "/d", Script: "#!"})
		if !errors.Is(err, ErrRateLimited) || SubmitClassOf(err) != SubmitNotSent || sent != 1 || time.Since(start) > 0 {
			t.Errorf("got %v after %s, %d sent", err, time.Since(start), sent)
		}
		time.Sleep(15 * time.Minute)
		client.Status.Systems(t.Context())
		if sent != 2 {
			t.Errorf("the gate stays closed")
		}
	})
}

func TestPauseEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := memoryClient(t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, WithRetry(RetryPolicy{Base: time.Minute, MaxWait: time.Hour}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := client.Status.Systems(ctx); !errors.Is(err, ErrUnavailable) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		after, reset string
		want         time.Duration
	}{
		{"", "", 0},
		{"7", "99", 7 * time.Second},
		{"", "9", 9 * time.Second},
		{"1.5", "", 1500 * time.Millisecond},
		{"0", "", time.Second},
		{"-5", "", time.Second},
		{"1e9", "", 15 * time.Minute},
		{"1000000000000000000000", "", 15 * time.Minute},
		{"Inf", "", 15 * time.Minute},
		{"NaN", "", 0},
		{"soon", "3", 3 * time.Second},
		{now.Add(time.Minute).Format(http.TimeFormat), "", time.Minute},
		{now.Add(-time.Minute).Format(http.TimeFormat), "", time.Second},
		{now.Add(48 * time.Hour).Format(http.TimeFormat), "", 15 * time.Minute},
	} {
		h := http.Header{"Retry-After": {test.after}, "Ratelimit-Reset": {test.reset}}
		if got := retryAfter(h, now); got != test.want {
			t.Errorf("%q, %q: got %s, want %s", test.after, test.reset, got, test.want)
		}
	}
	late := http.Header{"Date": {now.Add(time.Hour).Format(http.TimeFormat)}, "Retry-After": {now.Add(time.Hour + time.Minute).Format(http.TimeFormat)}}
	if got := retryAfter(late, now); got != time.Minute {
		t.Errorf("got %s of a server whose clock is an hour ahead, want a minute", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "1.5", "1e99", "NaN", "Sun, 22 Nov 2026 09:00:00 GMT"} {
		f.Add(s, strconv.Quote(s))
	}
	f.Fuzz(func(t *testing.T, after, reset string) {
		h := http.Header{"Retry-After": {after}, "Ratelimit-Reset": {reset}}
		if d := retryAfter(h, time.Now()); d != 0 && (d < time.Second || d > 15*time.Minute) {
			t.Errorf("%q, %q: %s", after, reset, d)
		}
	})
}

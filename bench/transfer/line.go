package main

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// line is how one client reaches the service: the API directly, and the object
// store through a proxy, as slow as a network is. What passes the proxy is
// measured.
type line struct {
	url   string // of the API
	api   *http.Server
	store *proxy
}

// newLine leads to a service. The API is told that its host is the proxy, so the
// addresses that it signs lead through that.
func newLine(service http.Handler, behind string, p passage) (*line, error) {
	store, err := newProxy(behind, p)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, store.close())
	}
	host := store.listener.Addr().String()
	api := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = host
		service.ServeHTTP(w, r)
	})}
	go func() { _ = api.Serve(l) }() // until close
	return &line{url: "http://" + l.Addr().String(), api: api, store: store}, nil
}

func (l *line) close() error { return errors.Join(l.api.Close(), l.store.close()) }

// passage is what a connection of a proxy is like.
type passage struct {
	rate  float64       // bytes per second in each direction
	delay time.Duration // in each direction
}

// proxy hands bytes on.
type proxy struct {
	passage
	listener net.Listener
	behind   string

	mu          sync.Mutex
	conns       map[net.Conn]bool // both sides of each
	open, most  int               // connections of clients, now and at once
	first, last time.Time         // byte from a client, byte to one
}

func newProxy(behind string, p passage) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &proxy{passage: p, listener: l, behind: behind, conns: map[net.Conn]bool{}}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go x.serve(client)
		}
	}()
	return x, nil
}

func (x *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", x.behind)
	if err != nil {
		_ = client.Close()
		return
	}
	x.count(1, client, server)
	var ways sync.WaitGroup
	ways.Go(func() { x.carry(server, client, x.began) })
	ways.Go(func() { x.carry(client, server, x.ended) })
	ways.Wait()
	x.count(-1, client, server)
	_ = client.Close()
	_ = server.Close()
}

func (x *proxy) count(n int, client, server net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.open += n
	x.most = max(x.most, x.open)
	if n > 0 {
		x.conns[client], x.conns[server] = true, true
		return
	}
	delete(x.conns, client)
	delete(x.conns, server)
}

const (
	// pieceSize is so small that a connection gets its bytes evenly.
	pieceSize = 64 << 10
	// catchUp is how much a connection that was held up for lack of processor time
	// may make good.
	catchUp = 100 * time.Millisecond
)

// carry hands on what comes from one side, late and at the rate. It tells of every
// piece when it was handed on.
func (x *proxy) carry(to, from net.Conn, passed func()) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	way := make(chan piece, max(2, int(2*x.rate*x.delay.Seconds())/pieceSize))
	free := make(chan []byte, cap(way)+2)
	go func() {
		defer close(way)
		for {
			var buffer []byte
			select {
			case buffer = <-free:
			default:
				buffer = make([]byte, pieceSize)
			}
			n, err := from.Read(buffer)
			if n > 0 {
				way <- piece{buffer[:n], time.Now().Add(x.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	var pace time.Time // when the connection can take more
	var broken error
	for p := range way {
		if broken != nil {
			continue
		}
		if earliest := time.Now().Add(-catchUp); pace.Before(earliest) {
			pace = earliest
		}
		if pace.Before(p.due) {
			pace = p.due
		}
		pace = pace.Add(time.Duration(float64(len(p.bytes)) / x.rate * float64(time.Second)))
		time.Sleep(time.Until(pace))
		if _, broken = to.Write(p.bytes); broken != nil {
			_ = from.Close()
		} else {
			passed()
		}
		free <- p.bytes[:pieceSize]
	}
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

func (x *proxy) began() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.first.IsZero() {
		x.first = time.Now().Add(-x.delay)
	}
}

func (x *proxy) ended() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = time.Now()
}

// passed is how long bytes were on their way, from the first of a client to the
// last for one, and over how many connections at once.
func (x *proxy) passed() (time.Duration, int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last.Sub(x.first), x.most
}

func (x *proxy) close() error {
	err := x.listener.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	for c := range x.conns {
		err = errors.Join(err, c.Close())
	}
	return err
}

package transfertest

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
)

// proxyIP is where streamers are told to be reached: on the way to them there is
// something that cuts connections.
const proxyIP = "127.0.0.2"

// streams passes connections on to the streamers of one system.
type streams struct {
	ports     [2]int
	listeners []net.Listener
	running   sync.WaitGroup

	mu   sync.Mutex
	move *move
	open map[net.Conn]bool
}

// newStreams finds ports that are free on both sides.
func newStreams() (*streams, error) {
	var last error
	for range 50 {
		s := &streams{open: map[net.Conn]bool{}}
		if last = s.listen(); last == nil {
			for _, l := range s.listeners {
				s.running.Go(func() { s.accept(l) })
			}
			return s, nil
		}
		s.close()
	}
	return nil, last
}

func (s *streams) listen() error {
	const ports = 8 // jobs whose ids were lost hold some for a while
	for n := range ports {
		port := 0
		if n > 0 {
			port = s.ports[1] + 1
		}
		l, err := net.Listen("tcp", net.JoinHostPort(proxyIP, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
		s.ports[1] = l.Addr().(*net.TCPAddr).Port
		if n == 0 {
			s.ports[0] = s.ports[1]
		}
		free, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[1])))
		if err != nil {
			return err
		}
		if err := free.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (s *streams) close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// carry says whose connections come from now on.
func (s *streams) carry(m *move) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.move = m
}

func (s *streams) accept(l net.Listener) {
	for {
		here, err := l.Accept()
		if err != nil {
			return
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		there, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil { // nobody listens yet
			_ = here.Close()
			continue
		}
		s.running.Go(func() { s.pass(here, there) })
	}
}

// pass copies both ways, until one side ends or the fault strikes.
func (s *streams) pass(here, there net.Conn) {
	s.mu.Lock()
	m := s.move
	s.open[here], s.open[there] = true, true
	s.mu.Unlock()
	left := &allowance{left: -1}
	if m != nil {
		left.left = m.streamLimit()
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		both.Go(func() {
			_, err := io.Copy(way[1], &limited{way[0], left})
			if errors.Is(err, errCut) {
				m.cutStream()
			}
			_ = here.Close()
			_ = there.Close()
		})
	}
	both.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, here)
	delete(s.open, there)
}

// allowance is how many bytes may pass, both ways together; negative: all.
type allowance struct {
	mu   sync.Mutex
	left int64
}

var errCut = errors.New("the connection is cut")

type limited struct {
	r    io.Reader
	most *allowance
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.most.mu.Lock()
	defer l.most.mu.Unlock()
	switch {
	case l.most.left < 0 || n == 0:
		return n, err
	case int64(n) < l.most.left:
		l.most.left -= int64(n)
		return n, err
	}
	n, l.most.left = int(l.most.left), -1
	return n, errCut
}

// streamLimit is after how many bytes a connection is cut; negative: never.
func (m *move) streamLimit() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !(m.fault.cut || m.fault.kill && m.inStream()) || m.struck >= m.hits {
		return -1
	}
	return m.within(m.bytes())
}

// cutStream is called when a connection is cut.
func (m *move) cutStream() {
	m.mu.Lock()
	m.strike("stream")
	p := m.process
	m.mu.Unlock()
	if m.fault.kill {
		p.kill()
	}
}

// inStream says that a kill comes while bytes stream, not at a request.
func (t *transfer) inStream() bool { return t.way == stream && t.seed%2 == 0 }

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is an HTTP/2 client that keeps to no limit the server announces.
type raw struct {
	conn   net.Conn
	framer *http2.Framer
	block  []byte
	next   uint32
}

func openRaw(socket string) (*raw, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		conn.Close()
		return nil, err
	}
	r := &raw{conn: conn, framer: http2.NewFramer(conn, nil), block: callHeaders(), next: 1}
	if err := r.framer.WriteSettings(); err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

// callHeaders is the header block of a FetchX509SVID call.
func callHeaders() []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", "/SpiffeWorkloadAPI/FetchX509SVID"}, {":authority", "localhost"},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"workload.spiffe.io", "true"},
	} {
		// Never indexed, so the same bytes are good for every call.
		encoder.SetMaxDynamicTableSize(0)
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true}); err != nil {
			panic(err)
		}
	}
	return block.Bytes()
}

// call opens one FetchX509SVID stream.
func (r *raw) call() error {
	id := r.next
	r.next += 2
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.block, EndHeaders: true}); err != nil {
		return err
	}
	return r.framer.WriteData(id, true, []byte{0, 0, 0, 0, 0})
}

// step sends what one round of a flood sends.
func (r *raw) step(o options) error {
	switch o.kind {
	case "unanswered":
		return r.call()
	case "reset":
		if err := r.call(); err != nil {
			return err
		}
		return r.framer.WriteRSTStream(r.next-2, http2.ErrCodeCancel)
	case "ping":
		return r.framer.WritePing(false, [8]byte{1})
	case "settings":
		return r.framer.WriteSettings()
	case "hangup":
		for range o.count {
			if err := r.call(); err != nil {
				return err
			}
		}
		return io.EOF
	}
	return fmt.Errorf("no flood of kind %q", o.kind)
}

func runFlood(o options) (any, error) {
	if err := (&raw{framer: http2.NewFramer(io.Discard, nil), next: 1}).step(o); err != nil && err != io.EOF {
		return nil, err
	}
	var rounds, connections, refused atomic.Int64
	var wait sync.WaitGroup
	end := time.Now().Add(o.duration)
	for range o.connections {
		wait.Go(func() {
			for time.Now().Before(end) {
				r, err := openRaw(o.socket)
				if err != nil {
					refused.Add(1)
					time.Sleep(time.Millisecond)
					continue
				}
				connections.Add(1)
				// What comes back is dropped unread by the caller, so that the server never waits for us.
				go io.Copy(io.Discard, r.conn)
				for time.Now().Before(end) && r.step(o) == nil {
					rounds.Add(1)
				}
				r.conn.Close()
			}
		})
	}
	wait.Wait()
	return map[string]any{"connections": connections.Load(), "rounds": rounds.Load(), "refused": refused.Load()}, nil
}
